//! `agentcafe realtime` with Redis: older events come from what the projector keeps.

use agentcafe_testkit::{Redis, Value, eventually, json, steady_port};

use crate::realtime::{
    DEADLINE, launch_realtime, of_room, read_until_ready, sequences, wait_until_caught_up,
};
use crate::{launch, order};

/// Also while the API is down. Without Redis only events in memory are there then.
#[tokio::test]
async fn realtime_replays_older_events_from_redis() {
    let port = steady_port();
    let mut api = launch().env("API_PORT", port).start().await;
    let client = api.client();
    for number in 0..60 {
        order(&client, "Nova", if number % 3 == 0 { "attic" } else { "main" }).await;
    }
    let mut redis = Redis::start();
    let projector = launch()
        .subcommand("projector")
        .env("PROJECTOR_EVENT_SOURCE_URL", api.url())
        .env("PROJECTOR_HEALTH_PORT", 0)
        .env("REDIS_URL", redis.url())
        .start()
        .await;
    let all = of_room(&client, "roomId=main").await;
    let realtime = launch_realtime(&api)
        .env("REDIS_URL", redis.url())
        .env("REALTIME_ROOM_HISTORY_LIMIT", 4)
        .start()
        .await;
    wait_until_caught_up(&realtime, &client).await;
    eventually("everything is projected", DEADLINE, async || {
        (projector.client().get("/healthz").await.json["cursor"].as_u64() >= Some(120)).then_some(())
    })
    .await;
    eventually("Redis is connected", DEADLINE, async || {
        let health = realtime.client().get("/healthz").await.json;
        (health["replayStore"] == json!({"enabled": true, "reason": null})).then_some(())
    })
    .await;
    api.kill();
    let (_, _, events, _) =
        read_until_ready(&mut realtime.client().stream("/v1/stream?cursor=5").await).await;
    let behind: Vec<Value> =
        all.iter().filter(|event| event["sequence"].as_u64() > Some(5)).cloned().collect();
    assert_eq!(events, behind, "read while the API is away");

    let fresh = launch_realtime(&api).env("REDIS_URL", redis.url()).start_listening().await;
    let (_, gap, events, ready) =
        read_until_ready(&mut fresh.client().stream("/v1/stream?limit=6").await).await;
    assert_eq!((sequences(&events), &ready["replayed"]), (sequences(&all[all.len() - 6..]), &json!(6)));
    assert_eq!(
        gap.unwrap()["toCursor"].as_u64(),
        all[all.len() - 6]["sequence"].as_u64().map(|sequence| sequence - 1)
    );
    let mut stream = fresh.client().stream("/v1/stream?cursor=7").await;
    let (snapshot, gap, events, _) = read_until_ready(&mut stream).await;
    assert_eq!(snapshot["state"]["actors"][0]["actorId"], "Nova");
    let behind = sequences(&all).into_iter().filter(|sequence| *sequence > 7).collect::<Vec<_>>();
    assert_eq!((gap, sequences(&events)), (None, behind));
    api.restart().await;
    order(&api.client(), "Kai", "main").await;
    assert_eq!([stream.next_event().await.id, stream.next_event().await.id], [Some(121), Some(122)]);
    redis.kill();
    eventually("the loss of Redis is detected", DEADLINE, async || {
        (realtime.client().get("/healthz").await.json["replayStore"]["enabled"] == false).then_some(())
    })
    .await;
    wait_until_caught_up(&realtime, &api.client()).await;
    let (_, _, events, _) =
        read_until_ready(&mut realtime.client().stream("/v1/stream?cursor=5").await).await;
    assert_eq!(events.len(), of_room(&api.client(), "roomId=main&cursor=5").await.len());
}
