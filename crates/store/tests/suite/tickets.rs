//! Tickets for streams: used once, for a minute, for one stream; and deleted when nobody uses them.

use agentcafe_domain::kernel::{Clock, Code, Fields};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::keys::tickets::{
    DeleteExpiredTickets, IssueTicket, KeyIdentity, RedeemTicket, StreamUrl, Ticket,
};
use agentcafe_store::{Failure, Store};
use serde_json::{Value, json};

use crate::commands::{done, envelope};
use crate::test_store::TestStore;

const STREAM: &str = "/v1/events/stream";
const RANDOM: [u8; 41] = [7; 41];

/// Issues a ticket, and returns it.
async fn issue(store: &Store, random: [u8; 41]) -> String {
    let body = json!({ "path": STREAM, "query": { "roomId": "main", "cursor": 3, "x": true } });
    let body = Fields::of_body(body.as_object().cloned().unwrap());
    let issue = IssueTicket::read(&body, &Principal::Shared, &random);
    let answer: Value = done(&store.submit(envelope(issue)).await);
    answer["ticket"].as_str().unwrap().to_owned()
}

fn stream(path: &str, query: &[(&str, &str)]) -> StreamUrl {
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    StreamUrl { path: path.to_owned(), query: query.collect() }
}

/// Whether the ticket opens the stream.
async fn opens(store: &Store, ticket: &str, path: &str, query: &[(&str, &str)]) -> bool {
    match store.submit(envelope(RedeemTicket::new(ticket, stream(path, query)))).await {
        Err(Failure::Refused(error)) => {
            assert_eq!(error.code, Code::NotFound);
            false
        }
        answer => done::<KeyIdentity>(&answer).key.is_none(),
    }
}

/// An attempt with another path or query does not use it up.
#[tokio::test]
async fn ticket_opens_only_its_stream_and_only_once() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let ticket = issue(store, RANDOM).await;
    let query = [("x", "true"), ("cursor", "3"), ("roomId", "main")];
    assert!(!opens(store, &ticket, "/v1/ws", &query).await);
    assert!(!opens(store, &ticket, STREAM, &query[..2]).await);
    assert!(!opens(store, &ticket, STREAM, &[query[0], query[1], query[2], ("actorId", "Nova")]).await);
    assert!(!opens(store, &ticket, STREAM, &[query[0], ("cursor", "4"), query[2]]).await);
    assert!(!opens(store, &ticket[..20], STREAM, &query).await);
    assert!(opens(store, &ticket, STREAM, &query).await);
    assert!(!opens(store, &ticket, STREAM, &query).await);
    opened.close();
}

#[tokio::test]
async fn ticket_expires_after_a_minute_and_is_deleted() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let query = [("x", "true"), ("cursor", "3"), ("roomId", "main")];
    let (first, second) = (issue(store, RANDOM).await, issue(store, [8; 41]).await);
    test_store.clock.advance(59_999);
    assert!(opens(store, &first, STREAM, &query).await);
    let due = async || store.find::<Ticket>(DeleteExpiredTickets::due(test_store.clock.now())).await.unwrap();
    assert!(due().await.is_empty());
    test_store.clock.advance(1);
    assert!(!opens(store, &second, STREAM, &query).await);
    let expired = due().await;
    assert!(expired.len() == 1 && !second.contains(&expired[0].ticket_hash), "{expired:?}");
    assert_eq!(done::<usize>(&store.submit(envelope(DeleteExpiredTickets { expired })).await), 1);
    assert!(due().await.is_empty());
    opened.close();
}
