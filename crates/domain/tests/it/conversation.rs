//! Messages, their mentions and their threads.

use agentcafe_domain::conversation::{Say, mentions_in};
use agentcafe_domain::kernel::{ActorId, Rules};
use serde_json::json;

use crate::harness::{Harness, body};

#[test]
fn mentions_are_found_in_a_text() {
    let cases: [(&str, &[&str]); 9] = [
        ("hey @Kai", &["Kai"]),
        ("@Kai @Kai and @Nova-2, ok?", &["Kai", "Nova-2"]),
        ("mail a@b.c", &[]),
        ("(@Kai)", &["Kai"]),
        ("@", &[]),
        ("@@Kai", &["Kai"]),
        ("é@Kai", &[]),
        ("@Kai_1's", &["Kai_1"]),
        ("x_@Kai", &[]),
    ];
    for (text, want) in cases {
        let got = mentions_in(text);
        assert_eq!(got.iter().map(ActorId::as_str).collect::<Vec<_>>(), want, "{text}");
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
