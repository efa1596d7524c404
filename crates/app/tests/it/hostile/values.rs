//! What hostile input is made of: valid bodies, and the values that are put into them.

use agentcafe_testkit::{Method, Value, json};

use super::NOBODY;

/// A valid body of each mutation, with as many fields as it knows.
pub(super) fn valid_body(method: &Method, path: &str) -> Value {
    let mut body = match path {
        "/v1/commands/enter" | "/v1/commands/leave" => {
            json!({"payload": {"source": "web", "reason": "why not", "enteredAt":
            "2026-01-01T00:00:00Z", "leftAt": "2026-01-01T00:00:00Z", "position": {"x": 1, "y": 2}, "metadata": {"a": 1}}})
        }
        "/v1/commands/move" => json!({"direction": "N", "steps": 1, "intent": "stroll"}),
        "/v1/commands/say" | "/v1/conversations/messages" => {
            json!({"text": "hi @Kai", "messageId": "m", "threadId": "t",
            "parentMessageId": "p", "replyToMessageId": "r", "mentions": ["Kai"], "contextWindowId": "w",
            "contextWindowMaxItems": 5, "ttlMs": 3_000, "metadata": {"a": [1]}})
        }
        "/v1/commands/order" => json!({"itemId": "tea", "size": "large"}),
        "/v1/intents/execute" => {
            json!({"intent": "navigate_to", "payload": {"x": 1, "y": 1, "tableId": "table_1"}})
        }
        "/v1/inbox/ack" => {
            json!({"ids": ["0190b5a0-0000-7000-8000-000000000000"], "upToCursor": 1, "ackedBy": "Kai"})
        }
        "/v1/inbox/{inboxId}/ack" => json!({"ackedBy": "Kai"}),
        "/v1/presence/heartbeat" => json!({"status": "busy", "ttlMs": 5_000}),
        "/v1/rooms" => json!({"roomType": "lobby", "ownerActorId": "Nova", "displayName": "Den",
            "metadata": {"a": 1}, "paymentProof": "coffee_paid", "paymentRef": "r", "paymentAmountUsd": 3.5}),
        "/v1/table-sessions" => {
            json!({"roomId": "den", "planId": "espresso", "ownerActorId": "Nova", "displayName": "Den",
            "invitedActorIds": ["Kai"], "metadata": {"a": 1}, "paymentProof": "coffee_paid", "paymentRef": "r",
            "paymentAmountUsd": 3, "startedAt": null, "expiresAt": null})
        }
        "/v1/table-sessions/{sessionId}" => {
            json!({"invitedActorIds": ["Kai"], "status": "ended", "startedAt": null,
            "expiresAt": null, "endedAt": null, "metadata": {"a": 1}})
        }
        "/v1/profiles" | "/v1/profiles/{actorId}" => {
            json!({"actorId": NOBODY, "displayName": "Nova", "avatarUrl": "https://example.com/n.png", "bio": "hi",
            "theme": {"bubbleColor": "#aabbcc", "textColor": null, "accentColor": "#AABBCCDD"}, "metadata": {"a": [1]}})
        }
        "/v1/permissions" => {
            json!({"actorId": "Kai", "operatorId": "Nova", "canMove": true, "canSpeak": true, "canOrder": true,
            "canEnterLeave": true, "canModerate": true})
        }
        "/v1/operator/overrides" => {
            json!({"operatorId": "Nova", "action": "unmute_agent", "targetActorId": "Kai", "reason": "r", "metadata": {"a": 1}})
        }
        "/v1/rooms/context/pin" => json!({"content": "be kind", "metadata": {"a": 1}}),
        "/v1/tasks" | "/v1/tasks/{taskId}" => {
            json!({"title": "t", "description": "d", "state": "active",
            "assigneeActorId": "Kai", "progress": 5, "metadata": {"a": [1]}})
        }
        "/v1/tasks/{taskId}/handoffs" => {
            json!({"action": "assign", "toAssigneeActorId": "Kai", "note": "n", "blockedReason": "b",
            "threadId": "t", "replyToEventId": "e", "metadata": {"a": 1}})
        }
        "/v1/objects" | "/v1/objects/{objectId}" => {
            json!({"objectType": "token", "objectKey": "k", "title": "t", "content": "c", "data": {"a": [1]},
            "quantity": 3, "metadata": {"a": 1}})
        }
        "/v1/snapshots/room" | "/v1/snapshots/agent" => json!({"state": {"a": [1]}, "ttlSeconds": 60}),
        "/v1/reactions/subscriptions" | "/v1/reactions/subscriptions/{subscriptionId}" => {
            json!({"sourceActorId": "Bo", "targetActorId": "Kai", "triggerEventTypes": ["order_changed"], "actionType": "say",
            "actionPayload": {"text": "hi", "ttlMs": 3_000, "mentions": ["Bo"]}, "enabled": false, "cooldownMs": 5,
            "ignoreSelf": true, "ignoreReactionEvents": true, "metadata": {"a": 1}, "createdBy": "Bo"})
        }
        "/v1/subscriptions" | "/v1/subscriptions/{subscriptionId}" => {
            json!({"targetUrl": "http://127.0.0.1:9/hook", "eventTypes": ["order_changed"], "secret": "whsec_AAEC", "enabled": false,
            "maxRetries": 1, "backoffMs": 500, "timeoutMs": 900, "metadata": {"a": [1]}})
        }
        "/v1/subscriptions/dlq/{dlqId}/replay" => json!({"force": true}),
        _ => panic!("{method} {path} is new: give it a valid body here"),
    };
    for (name, value) in [
        ("tenantId", "default"),
        ("roomId", "main"),
        ("actorId", "Nova"),
        ("correlationId", "c"),
        ("causationId", "e"),
    ] {
        if body.get(name).is_none() {
            body[name] = json!(value);
        }
    }
    body
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("deep"), |inner, _| json!([inner]))
}

/// Texts that have meant something to somebody.
const ODD_TEXTS: [&str; 38] = [
    "",
    " ",
    "\t\n",
    "a\u{0}b",
    "a\u{7}b",
    "\u{feff}",
    "\u{202e}x",
    "e\u{301}",
    "😀",
    "12",
    "-5",
    " 7 ",
    "1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x10",
    "1_000",
    "null",
    "true",
    "latest",
    "constructor",
    "__proto__",
    "a:b:c",
    "a/b?c#d&e=f",
    "%00%ff",
    "'; DROP TABLE events; --",
    "$ne",
    "../../etc/passwd",
    "<script>",
    "\\",
    "\"",
    "9999-12-31T23:59:59.999Z",
    "-009999-01-01T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "0190b5a0-0000-7000-8000-000000000000",
    "[]",
    "{}",
];

/// What no field should be, or what is at its limits.
pub(super) fn odd_values() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(-0.0),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([]),
        json!([[]]),
        json!([null]),
        json!([1, "a", {}]),
        json!({}),
        json!({"a": {"b": []}}),
        json!({"": ""}),
        json!({"x": 1e308, "y": -1e308}),
        nested(50),
        nested(70),
        json!(vec!["x"; 2_000]),
        json!((0..200).map(|n| format!("a{n}")).collect::<Vec<_>>()),
    ];
    let long = ["x".repeat(129), "ü".repeat(5_000), "😀".repeat(50_000)];
    values.extend(ODD_TEXTS.iter().map(|text| json!(text)));
    values.extend(long.iter().map(|text| json!(text)));
    values
}
