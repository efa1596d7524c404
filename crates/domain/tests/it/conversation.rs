//! Messages, their mentions and their threads.

use agentcafe_domain::conversation::{Say, mentions_in};
use agentcafe_domain::kernel::{ActorId, Rules};
use proptest::prelude::*;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use crate::harness::{Harness, body};

/// Checks which names a text mentions.
fn check(text: &str, want: &[&str]) {
    let got = mentions_in(text);
    assert_eq!(got.iter().map(ActorId::as_str).collect::<Vec<_>>(), want, "{text}");
}

#[test]
fn mentions_are_names_after_an_at_sign() {
    for (text, want) in [
        ("hey @Kai", &["Kai"][..]),
        ("@Kai @Kai and @Nova-2, ok?", &["Kai", "Nova-2"]),
        ("(@Kai)", &["Kai"]),
        ("@", &[]),
        ("nobody @ all", &[]),
        ("@@Kai", &["Kai"]),
        ("@Kai_1's", &["Kai_1"]),
        ("> @Nova said so", &["Nova"]),
        ("ask @Kai/@Nova", &["Kai", "Nova"]),
        ("\"@Kai\", he said", &["Kai"]),
        // Kind: punctuation and emphasis around a name.
        ("@Kai- done", &["Kai"]),
        ("@Kai: @Nova. @Bo-- @Zo...", &["Kai", "Nova", "Bo", "Zo"]),
        ("_@Kai_ **@Nova** __@Bo__", &["Kai", "Nova", "Bo"]),
        ("@-", &[]),
        ("@__", &[]),
        ("@_bot", &["_bot"]),
    ] {
        check(text, want);
    }
}

/// Kind: a name that goes on with a letter is not that name, whatever its script and form.
#[test]
fn mentions_are_whole_words_of_any_script() {
    for (text, want) in [
        ("@Zo\u{eb} ready?", &["Zo\u{eb}"][..]),
        ("@Zoe\u{308} ready?", &["Zo\u{eb}"]),
        ("@\u{41a}\u{430}\u{439}, @\u{5c0f}\u{660e}\u{3002}", &["\u{41a}\u{430}\u{439}", "\u{5c0f}\u{660e}"]),
        ("\u{e9}@Kai", &[]),
        ("rene\u{301}@Kai.example", &[]),
    ] {
        check(text, want);
    }
}

/// Kind: a name that is no word.
#[test]
fn mentions_of_any_name_are_quoted() {
    for (text, want) in [
        ("@\"Claude Code\": please", &["Claude Code"][..]),
        ("@\"v1.2\"@\"Kai_\"", &["v1.2"]),
        ("@\" \" @\"Kai\n@Nova\"", &["Nova"]),
        ("@\"Kai", &[]),
        ("@\"`x`\"", &[]),
    ] {
        check(text, want);
    }
}

/// Kind: names in code, URLs and e-mail addresses wake nobody.
#[test]
fn mentions_are_not_in_code_urls_and_addresses() {
    for (text, want) in [
        ("run `npm i @types/node`, @Kai", &["Kai"][..]),
        ("``a ` @x`` @Kai", &["Kai"]),
        ("` @Kai", &["Kai"]),
        ("it's ` here\n\n@Kai ` there", &["Kai"]),
        ("```py\n@property\ndef x\u{2026}```", &[]),
        ("~~~~\n@x\n~~~\n@y\n~~~~~ \n@Kai", &["Kai"]),
        ("```a`b @Kai", &["Kai"]),
        ("  ```py\r\n@x\r\n  ```\r\n@Kai", &["Kai"]),
        ("> ```py\n> @property\nno, @Kai", &["Kai"]),
        ("see https://medium.example/@Kai/post @Nova", &["Nova"]),
        ("(www.medium.example/@Kai) <https://x.example/@Kai>@Nova", &["Nova"]),
        ("mail a@b.c, x_@Kai", &[]),
        ("\"j doe\"@example.org", &[]),
        ("git clone ssh://git@host/x", &[]),
        ("@Kai@social.example", &["Kai"]),
    ] {
        check(text, want);
    }
}

/// Text of any length is read in time that grows with the length only.
#[test]
fn mentions_of_a_long_text_are_found_in_linear_time() {
    for part in ["@a ", "@\"", "`", "` ``", "@_", "@@", "://@", "```\n", "\"@", "@aaaa-"] {
        let _ = mentions_in(&part.repeat(200_000));
    }
    let many: String = (0..100_000).map(|number| format!("@a{number} ")).collect();
    assert_eq!(mentions_in(&many).len(), 100_000);
    let runs: String = (0..1_000).map(|length| format!("{} ", "`".repeat(length))).collect();
    assert_eq!(mentions_in(&format!("{runs}@Kai")).len(), 1);
}

proptest! {
    /// Each name once, and each was written after an `@`.
    #[test]
    fn mentions_of_any_text_are_in_it(text in r#"([@`"~>_ \n-]|[a-zé\u{308}]|://){0,40}"#) {
        let mentioned = mentions_in(&text);
        let composed: String = text.nfc().collect();
        for (at, actor) in mentioned.iter().enumerate() {
            prop_assert!(!mentioned[..at].contains(actor), "{text:?}");
            let written = [format!("@{actor}"), format!("@\"{actor}")];
            let quoted = composed.split('"').any(|part| part.trim() == actor.as_str());
            prop_assert!(quoted || written.iter().any(|name| composed.contains(name.as_str())), "{text:?}");
        }
    }

    /// Whatever is in code; what follows it is read.
    #[test]
    fn mentions_in_code_are_none(code in r#"([@"~>_ -]|[a-zé]|://){0,30}"#) {
        let kai = [ActorId::parse("Kai").unwrap()];
        prop_assert_eq!(mentions_in(&format!("`{code}` @Kai")), kai.clone());
        prop_assert_eq!(mentions_in(&format!("```\n{code}\n@x\n```\n@Kai")), kai);
    }

    /// Every id has a way to be written.
    #[test]
    fn mentions_of_every_id_can_be_quoted(id in r#"[^"`\p{C}\p{Z}]{1,20}( [^"`\p{C}\p{Z}]{1,20})?"#) {
        if let Ok(actor) = ActorId::parse(&id) {
            prop_assert_eq!(mentions_in(&format!("to @\"{id}\".")), [actor]);
        }
    }
}

/// A message belongs to its thread, else to that of its parent, else it starts one.
#[test]
fn say_finds_the_thread_of_its_message() {
    let cases = [
        (None, None, "message"),
        (None, Some("parent"), "parent"),
        (Some("thread"), Some("parent"), "thread"),
    ];
    for (thread, parent, want) in cases {
        let mut harness = Harness::new();
        let fields = json!({ "actorId": "Nova", "text": "hi", "messageId": "message", "threadId": thread, "parentMessageId": parent });
        harness.decide(&Say::read(&body(&fields), &Rules::default()).unwrap()).unwrap();
        assert_eq!(harness.events[0].payload["conversation"]["threadId"], want);
    }
}
