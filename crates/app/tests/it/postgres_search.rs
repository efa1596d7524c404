//! The index on two nodes: both answer the same, and one goes on when the one that writes it is gone.

use agentcafe_testkit::json;

use crate::postgres_nodes::two_nodes;
use crate::search::{finds, found};

/// The node that writes the index is killed while it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_index_is_continued_by_another_node() {
    let [mut first, second] = two_nodes().await;
    let count = 80;
    for n in 0..count {
        let client = if n % 2 == 0 { first.client() } else { second.client() };
        let body = json!({"actorId": "Nova", "text": format!("zebra {n}"), "messageId": format!("m{n}"), "threadId": "t"});
        let _ = client.act("/v1/commands/say", body).await.data();
        // Right after its say, on the node that does not write the index.
        let read = second.client().get(&format!("/v1/messages/m{n}")).await;
        assert_eq!(read.status, 200, "{}", read.text);
        let thread = second.client().get("/v1/threads/t?limit=500").await;
        assert_eq!(thread.data()["count"], n + 1);
    }
    first.kill();
    let body = json!({"actorId": "Nova", "text": "the last zebra", "messageId": "last", "threadId": "t"});
    let _ = second.client().act("/v1/commands/say", body).await.data();
    let answer = finds(&second.client(), &[("q", "zebra"), ("limit", "100")], count + 1).await;
    let want = std::iter::once("last".to_owned()).chain((0..count).rev().map(|n| format!("m{n}")));
    let got: Vec<String> = found(&answer).into_iter().map(|(_, id)| id).collect();
    assert_eq!(got, want.collect::<Vec<_>>());
}
