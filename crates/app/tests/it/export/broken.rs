//! An import refuses an incomplete or malformed export, names the line, and leaves the store as it was.

use super::*;

/// A small export: an entrance, then two messages with their mentions.
pub(super) async fn sample() -> String {
    let (server, client) = cafe().await;
    for text in ["hey @Kai", "again @Kai"] {
        let body = json!({ "actorId": "Nova", "text": text, "mentions": ["Kai"] });
        let _ = client.act("/v1/commands/say", body).await.data();
    }
    export(server.data_dir(), &[])
}

/// Checks that an import fails with this text, and imports nothing.
pub(super) fn fails(directory: &Path, text: &str, words: &[&str]) {
    let output = import(directory, text);
    let said = stderr(&output);
    assert!(!output.status.success() && !said.contains("panicked"), "{words:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "expected {words:?} in: {said}");
}

/// Truncated at the end of any line, or within one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_a_truncated_file_imports_nothing() {
    let text = sample().await;
    let directory = TempDir::new().unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let (_, whole) = ends.split_last().unwrap();
    fails(directory.path(), "", &["cut off"]);
    for (number, end) in whole.iter().enumerate() {
        fails(directory.path(), &text[..*end], &["cut off", &format!("after line {}", number + 1)]);
        fails(directory.path(), &text[..*end + 9], &["cut off", &format!("after line {}", number + 1)]);
    }
    let first = export(directory.path(), &[]);
    assert_eq!(first.lines().count(), 2, "nothing was imported: {first}");
    // The last line end may be missing.
    let output = import(directory.path(), text.trim_end());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(without_exported_at(&export(directory.path(), &[])) == without_exported_at(&text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_names_the_number_of_a_malformed_line() {
    let text = sample().await;
    let all: Vec<&str> = text.lines().collect();
    let line_of = |what: &str| all.iter().position(|line| line.contains(what)).unwrap();
    let (record, key, end) = (line_of("{\"record\""), line_of("{\"key\""), all.len() - 1);
    let identity = all[key].find("\"identity\":\"").unwrap() + "\"identity\":\"".len();
    let with_identity =
        |hash: &str| format!("{}{hash}{}", &all[key][..identity], &all[key][identity + hash.len()..]);
    let directory = TempDir::new().unwrap();
    // The line number, its replacement, and the error.
    let cases: Vec<(usize, String, &str)> = vec![
        (0, "{}".to_owned(), "not an export"),
        (0, "PK\u{3}\u{4}".to_owned(), "not an export"),
        (0, all[0].replace("\"version\":1", "\"version\":2"), "version 2"),
        (0, all[0].replace("\"room\":null", "\"room\":\"main\""), "needs its tenant"),
        (0, all[0].replace("\"tenant\":null", "\"tenant\":\"acme\""), "another tenant"),
        (0, all[0].replace("\"head\":6", "\"head\":5"), "sequence 6"),
        (0, all[0].replace("\"inboxHead\":2", "\"inboxHead\":1"), "was changed"),
        (1, "{".to_owned(), "not a line of an export"),
        (1, String::new(), "not a line of an export"),
        (1, "[1]".to_owned(), "not a line of an export"),
        (1, "{\"thing\":{}}".to_owned(), "not a line of an export"),
        (1, "{\"event\":{}}".to_owned(), "not an event"),
        (1, all[1].replace("conversation_message_posted", "teapot_posted"), "not an event"),
        (2, all[1].to_owned(), "sequence 1"),
        (2, all[2].replace("\"sequence\":2", "\"sequence\":99"), "sequence 99"),
        (3, all[3].replace("\"timestamp\":\"20", "\"timestamp\":\"19"), "older"),
        (record, all[record].replace("\"table\":\"", "\"table\":\"x"), "no table"),
        (record, "{\"record\":{\"table\":\"payments\",\"json\":{}}}".to_owned(), "no table"),
        (record, "{\"record\":{\"table\":\"presence\",\"json\":{}}}".to_owned(), "presence"),
        (record + 1, all[record].to_owned(), "a line before it"),
        (key, all[key].replace("\"status\":202", "\"status\":404"), "status"),
        (key, all[key].replace("\"identity\":\"", "\"identity\":\"0"), "hexadecimal"),
        (key, with_identity("+0000000000000000000000000000001"), "hexadecimal"),
        (key, with_identity("zz000000000000000000000000000000"), "hexadecimal"),
        (end, all[end].replace("\"events\":6", "\"events\":7"), "lines are missing"),
        (end, all[end].replace("\"sha256\":\"", "\"sha256\":\"0"), "was changed"),
        (end, format!("{}\n{}", all[end], all[end]), "nothing may follow"),
    ];
    for (at, line, why) in cases {
        let mut broken = all.clone();
        assert_ne!(broken[at], line, "{why}: the case changes nothing");
        broken[at] = &line;
        fails(directory.path(), &broken.join("\n"), &["line ", why, "nothing was imported"]);
        // Some errors are found, and reported, at a later line.
        if ![0, 1].contains(&at)
            || ["not an export", "not a line", "not an event", "version"]
                .iter()
                .any(|known| why.contains(known))
        {
            let number = if why == "nothing may follow" { at + 2 } else { at + 1 };
            fails(directory.path(), &broken.join("\n"), &[&format!("line {number}:")]);
        }
    }
    fails(directory.path(), &text.replace(&format!("{}\n", all[record]), ""), &["lines are missing"]);
    fails(directory.path(), &text.replace("hey", "hoi"), &["was changed"]);
    assert_eq!(export(directory.path(), &[]).lines().count(), 2);
    assert!(import(directory.path(), &text).status.success());
}

/// The store stays unchanged. A path that is not a directory is refused, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_into_existing_data_is_refused() {
    let text = sample().await;
    let (mut server, client) = cafe_with_random_data(3).await;
    let location = match store_under_test() {
        "sqlite" => server.data_dir().display().to_string(),
        _ => "the database of DATABASE_URL".to_owned(),
    };
    fails(server.data_dir(), &text, &["in use by another process"]);
    drop(client);
    assert!(server.stop().await.success());
    let before = export(server.data_dir(), &[]);
    fails(server.data_dir(), &text, &["not empty", &location]);
    assert!(without_exported_at(&export(server.data_dir(), &[])) == without_exported_at(&before));
    let copy = import_to_new_directory(&text);
    fails(copy.path(), &before, &["not empty"]);
    assert!(without_exported_at(&export(copy.path(), &[])) == without_exported_at(&text));
    // A server that was never used leaves an empty store.
    let mut server = launch().start().await;
    assert!(server.stop().await.success());
    assert!(import(server.data_dir(), &text).status.success());
    if store_under_test() == "sqlite" {
        fails(&copy.path().join("agentcafe.db"), &text, &["cannot be used"]);
    }
    let missing = copy.path().join("missing");
    let output = agentcafe("export", &missing, &[]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("there is no store"), "{}", stderr(&output));
    assert!(!missing.exists(), "an export creates nothing");
    let output = agentcafe("import", &missing, &["no-such-file"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("no-such-file"), "{}", stderr(&output));
}
