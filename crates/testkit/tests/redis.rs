//! The Redis servers of tests can be stopped, killed and wiped.

use std::collections::BTreeMap;

use agentcafe_testkit::{Redis, Value, json};

#[test]
fn redis_server_keeps_its_data_until_it_is_wiped() {
    let mut redis = Redis::start();
    assert_eq!(redis.ask(&["SET", "a", "b c"]), "OK");
    assert_eq!(redis.ask(&["RPUSH", "l", "1", "2"]), 2);
    let before = redis.contents();
    assert_eq!(before["l"], json!({"type": "list", "content": ["1", "2"], "expires": false}));
    redis.kill();
    redis.restart();
    assert_eq!(redis.contents(), before);
    redis.stop();
    redis.restart();
    assert_eq!(redis.contents(), before);
    redis.wipe();
    assert_eq!(redis.contents(), BTreeMap::new());
    assert_eq!(redis.ask(&["GET", "a"]), Value::Null);
}
