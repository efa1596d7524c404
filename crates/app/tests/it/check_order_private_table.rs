//! The order of checks at a private table, for every mutation: ids, key, table access, capability, override, body,
//! moderation.

use std::borrow::Cow;

use agentcafe_testkit::{Answer, Client, Launch, Method, Value, fresh_key, json};

use crate::table_fixtures::text;
use crate::{launch, log, merged};

/// The actor of all requests at the table.
pub(crate) const ACTOR: &str = "Eve";
const ROOM: &str = "den";

/// A mutation in the room `den`, and what is checked for it.
pub(crate) struct Case {
    pub(crate) method: Method,
    pub(crate) path: Cow<'static, str>,
    /// The members of a valid body, without actor and room.
    pub(crate) valid: Value,
    /// Members that make the body invalid, and the error code; null if the error is found with the ids.
    invalid: Value,
    wrong_code: &'static str,
    /// Whether the body is checked before the access to the table.
    checks_body_first: bool,
    /// The name of the action in refusals of the access check.
    pub(crate) action: &'static str,
    /// The name of the action in refusals of capability and override.
    policy_action: &'static str,
    pub(crate) feature: Option<&'static str>,
    capability: Option<&'static str>,
    is_moderated: bool,
}

/// A case without capability and moderation.
fn work(
    path: impl Into<Cow<'static, str>>,
    action: &'static str,
    feature: Option<&'static str>,
    valid: Value,
    (invalid, wrong_code): (Value, &'static str),
) -> Case {
    Case {
        method: Method::POST,
        path: path.into(),
        valid,
        invalid,
        wrong_code,
        checks_body_first: false,
        action,
        policy_action: action,
        feature,
        capability: None,
        is_moderated: false,
    }
}

impl Case {
    fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn checks_body_first(self) -> Self {
        Self { checks_body_first: true, ..self }
    }

    /// An action that needs this capability.
    fn act(self, capability: &'static str) -> Self {
        Self { capability: Some(capability), is_moderated: true, ..self }
    }

    /// Sends it, with a valid or an invalid body.
    pub(crate) async fn send(
        &self,
        client: &Client,
        actor: &str,
        is_valid: bool,
        key: Option<&str>,
    ) -> Answer {
        let fields = if is_valid { &self.valid } else { &self.invalid };
        let mut body = json!({"actorId": actor, "roomId": ROOM});
        if self.action == "reaction_subscription_create" {
            body["targetActorId"] = json!(actor);
        }
        let body = merged(body, fields);
        // Some of these names are only read by some of the actions.
        let mut request = client.clone().lenient().request(self.method.clone(), &self.path);
        if self.method != Method::DELETE {
            request = request.json(&body);
        }
        match key {
            Some(key) => request.key(key).send().await,
            None => request.send().await,
        }
    }
}

/// Cases of work at the table, on records that Eve creates while the room is public.
pub(crate) async fn work_cases(client: &Client) -> Vec<Case> {
    let id = async |path: &str, fields: Value, resource: &str, name: &str| {
        let body = merged(json!({"actorId": ACTOR, "roomId": ROOM}), &fields);
        let made = client.clone().lenient().act(path, body).await;
        text(&made.data()[resource][name]).to_owned()
    };
    let rule = json!({"targetActorId": ACTOR, "actionType": "say", "actionPayload": {"text": "hi"}, "enabled": false});
    let hook = json!({"targetUrl": "http://127.0.0.1:9/", "enabled": false});
    let task = id("/v1/tasks", json!({"title": "Sweep"}), "task", "taskId").await;
    let object = id("/v1/objects", json!({}), "object", "objectId").await;
    let reaction = id("/v1/reactions/subscriptions", rule.clone(), "subscription", "id").await;
    let webhook = id("/v1/subscriptions", hook.clone(), "subscription", "id").await;

    let (board, objects, events) = (Some("task_board"), Some("shared_objects"), Some("event_subscriptions"));
    let missing = "ERR_MISSING_FIELD";
    let no_state = || (json!({"state": "gone"}), "ERR_INVALID_ENUM");
    let no_type = || (json!({"objectType": "car"}), "ERR_INVALID_ENUM");
    let no_action = || (json!({"actionType": "fly"}), "ERR_INVALID_ENUM");
    let no_handoff = (json!({"action": "shout"}), "ERR_INVALID_ENUM");
    let no_retries = (json!({"maxRetries": 99}), "ERR_OUT_OF_BOUNDS");
    let nothing = || (json!(null), "");
    let (task, object) = (format!("/v1/tasks/{task}"), format!("/v1/objects/{object}"));
    let (reaction, webhook) =
        (format!("/v1/reactions/subscriptions/{reaction}"), format!("/v1/subscriptions/{webhook}"));
    vec![
        work("/v1/tasks", "task_create", board, json!({"title": "Mop"}), (json!({"title": 7}), missing)),
        work(task.clone(), "task_update", board, json!({"title": "Mop"}), no_state()).by(Method::PATCH),
        work(
            format!("{task}/handoffs"),
            "task_update",
            board,
            json!({"action": "blocked", "note": "no broom"}),
            no_handoff,
        ),
        work("/v1/objects", "object_create", objects, json!({"content": "x"}), no_type()),
        work(object, "object_update", objects, json!({"content": "y"}), no_type()).by(Method::PATCH),
        work("/v1/reactions/subscriptions", "reaction_subscription_create", events, rule, no_action())
            .checks_body_first(),
        work(reaction.clone(), "reaction_subscription_update", events, json!({"cooldownMs": 9}), no_action())
            .by(Method::PATCH),
        work(
            "/v1/subscriptions",
            "event_subscription_create",
            events,
            hook,
            (json!({"targetUrl": 7}), missing),
        )
        .checks_body_first(),
        work(webhook.clone(), "event_subscription_update", events, json!({"maxRetries": 1}), no_retries)
            .by(Method::PATCH),
        work(
            "/v1/snapshots/room",
            "snapshot_create",
            None,
            json!({}),
            (json!({"ttlSeconds": 0}), "ERR_OUT_OF_BOUNDS"),
        ),
        work(
            "/v1/snapshots/agent",
            "snapshot_create",
            None,
            json!({}),
            (json!({"ttlSeconds": 0}), "ERR_OUT_OF_BOUNDS"),
        ),
        work("/v1/presence/heartbeat", "presence_heartbeat", None, json!({}), nothing()),
        // Deletions come last.
        work(reaction, "reaction_subscription_delete", events, json!({}), nothing()).by(Method::DELETE),
        work(webhook, "event_subscription_delete", events, json!({}), nothing()).by(Method::DELETE),
    ]
}

/// Cases of agents' actions.
pub(crate) fn action_cases() -> Vec<Case> {
    let chat = Some("basic_thread_chat");
    let missing = "ERR_MISSING_FIELD";
    let hi = || json!({"text": "hi"});
    let walk = || json!({"direction": "N"});
    let intent = work(
        "/v1/intents/execute",
        "intent:navigate_to",
        None,
        json!({"intent": "navigate_to", "payload": {"x": 1, "y": 1}}),
        (json!({"intent": "navigate_to", "payload": {"x": "far"}}), "ERR_OUT_OF_BOUNDS"),
    );
    let intent = Case { policy_action: "navigate_to", ..intent.act("canMove") };
    vec![
        work("/v1/commands/enter", "enter", None, json!({}), (json!({"payload": 7}), "ERR_VALIDATION"))
            .act("canEnterLeave"),
        work("/v1/commands/say", "say", chat, hi(), (json!({"text": 7}), missing)).act("canSpeak"),
        work("/v1/conversations/messages", "conversation_message", chat, hi(), (json!({"text": 7}), missing))
            .act("canSpeak"),
        work(
            "/v1/commands/move",
            "move",
            None,
            walk(),
            (json!({"direction": "up"}), "ERR_INVALID_DIRECTION"),
        )
        .act("canMove"),
        work("/v1/commands/order", "order", None, json!({"itemId": "tea"}), (json!({"itemId": 7}), missing))
            .act("canOrder"),
        intent,
        work("/v1/rooms/context/pin", "room_context_pin", None, json!({"content": "x"}), (json!(null), ""))
            .act("canModerate"),
    ]
}

/// A server with two free plans: one with all features, one without any.
pub(crate) fn launch_with_free_plans() -> Launch {
    let features = json!(["basic_thread_chat", "task_board", "shared_objects", "event_subscriptions"]);
    let plans = json!({"full": {"maxAgents": 8, "features": features}, "bare": {"maxAgents": 8}});
    launch().env("TABLE_PLAN_CATALOG_JSON", plans).env("PRIVATE_TABLE_PAYMENT_MODE", "off")
}

/// Ends the table's session, if there is one, and opens another one of Nova's.
pub(crate) async fn replace_session(client: &Client, plan: &str, invited: &[&str]) -> Value {
    close(client).await;
    let body = json!({"actorId": "Nova", "roomId": ROOM, "planId": plan, "invitedActorIds": invited});
    client.act("/v1/table-sessions", body).await.data()["session"].clone()
}

pub(crate) async fn close(client: &Client) {
    let active = client.get("/v1/table-sessions?roomId=den&status=active").await;
    for session in active.data()["sessions"].as_array().into_iter().flatten() {
        let path = format!("/v1/table-sessions/{}", text(&session["sessionId"]));
        let body = json!({"actorId": "Nova", "status": "ended"});
        let ended = client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await;
        let _ = ended.data();
    }
}

pub(crate) async fn operate(client: &Client, action: &str) {
    let body = json!({"roomId": ROOM, "operatorId": "Op", "action": action});
    let _ = client.act("/v1/operator/overrides", body).await.data();
}

async fn permit(client: &Client, actor: &str, may: bool) {
    let body = json!({"roomId": ROOM, "actorId": actor, "canMove": may, "canSpeak": may, "canOrder": may,
        "canEnterLeave": may, "canModerate": may});
    let _ = client.act("/v1/permissions", body).await.data();
}

/// Makes the room Nova's private table.
pub(crate) async fn make_private(client: &Client) {
    let body = json!({"actorId": "Nova", "roomId": ROOM, "roomType": "private_table"});
    let _ = client.act("/v1/rooms", body).await.data();
}

/// The checks that Eve's requests fail, in their order.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Obstacle {
    NoSession,
    NotInvited,
    NoFeature,
    NotCapable,
    Paused,
    Body,
    Moderation,
}

impl Obstacle {
    const ALL: [Self; 7] = [
        Self::NoSession,
        Self::NotInvited,
        Self::NoFeature,
        Self::NotCapable,
        Self::Paused,
        Self::Body,
        Self::Moderation,
    ];

    fn concerns(self, case: &Case, is_valid: bool) -> bool {
        match self {
            Self::NoFeature => case.feature.is_some(),
            Self::NotCapable => case.capability.is_some(),
            Self::Body => !is_valid,
            Self::Moderation => case.is_moderated,
            Self::NoSession | Self::NotInvited | Self::Paused => true,
        }
    }

    /// Checks that a response is the refusal of this check.
    fn assert(self, case: &Case, answer: &Answer) {
        let (status, code, name, value) = match self {
            Self::NoSession => (402, "ERR_PAYMENT_REQUIRED", "action", json!(case.action)),
            Self::NotInvited => (403, "ERR_FORBIDDEN", "action", json!(case.action)),
            Self::NoFeature => (403, "ERR_PLAN_FEATURE_DISABLED", "requiredFeature", json!(case.feature)),
            Self::NotCapable => (403, "ERR_FORBIDDEN", "capability", json!(case.capability)),
            Self::Paused => (423, "ERR_OPERATOR_OVERRIDE_BLOCKED", "action", json!(case.policy_action)),
            Self::Body => {
                let _ = answer.error(400, case.wrong_code);
                return;
            }
            Self::Moderation => (429, "ERR_MODERATION_BLOCKED", "reasonCode", json!("MOD_RATE_LIMIT")),
        };
        let details = answer.error(status, code);
        assert_eq!(details[name], value, "{self:?} {} {}", case.method, case.path);
        assert_eq!((&details["actorId"], &details["roomId"]), (&json!(ACTOR), &json!(ROOM)), "{details}");
        assert!(details["correlationId"].is_string(), "{details}");
    }
}

/// Sends all cases with a valid and an invalid body, and checks that each response names the first failing check from
/// `from` on.
async fn assert_first(client: &Client, cases: &[Case], from: Obstacle) {
    for case in cases {
        for is_valid in [false, true] {
            if !is_valid && case.invalid.is_null() {
                continue;
            }
            let answer = case.send(client, ACTOR, is_valid, Some(&fresh_key())).await;
            let first = Obstacle::ALL
                .into_iter()
                .find(|obstacle| *obstacle >= from && obstacle.concerns(case, is_valid));
            match first {
                Some(_) if !is_valid && case.checks_body_first => Obstacle::Body.assert(case, &answer),
                Some(obstacle) => obstacle.assert(case, &answer),
                None => assert!(answer.status < 300, "{} {}: {}", case.method, case.path, answer.text),
            }
        }
    }
}

/// Every check fails at first; each time one is fixed, the next one is reported. Ids, key and replays come before all
/// others.
#[tokio::test]
async fn private_table_mutation_reports_the_first_failed_check() {
    let server =
        launch_with_free_plans().env("MOD_MAX_ACTIONS_PER_WINDOW", 1).env("MOD_COOLDOWN_MS", 0).start().await;
    let client = server.client();
    let cases: Vec<Case> = action_cases().into_iter().chain(work_cases(&client).await).collect();
    permit(&client, "Op", true).await;
    // While the room is public: each case succeeds once; of the moderated ones only one, because moderation allows no
    // more.
    let is_done = |case: &&Case| case.action == "say" || !case.is_moderated && case.method != Method::DELETE;
    for case in cases.iter().filter(is_done) {
        let done = case.send(&client, ACTOR, true, Some("done")).await;
        assert!(done.status < 300, "{}: {}", case.path, done.text);
    }
    make_private(&client).await;
    permit(&client, ACTOR, false).await;
    operate(&client, "pause_room").await;
    let events = log(&client).await.len();
    for case in &cases {
        let _ = case.send(&client, ACTOR, true, None).await.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
    }
    for case in cases.iter().filter(is_done) {
        let replay = case.send(&client, ACTOR, true, Some("done")).await;
        assert_eq!(replay.header("x-idempotent-replay"), Some("true"), "{}: {}", case.path, replay.text);
        if !case.invalid.is_null() {
            let other = case.send(&client, ACTOR, false, Some("done")).await;
            let _ = other.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
        }
    }
    assert_first(&client, &cases, Obstacle::NoSession).await;
    assert_eq!(log(&client).await.len(), events, "nothing has happened");
    for (plan, invited, next) in [
        ("full", [].as_slice(), Obstacle::NotInvited),
        ("bare", &[ACTOR], Obstacle::NoFeature),
        ("full", &[ACTOR], Obstacle::NotCapable),
    ] {
        operate(&client, "resume_room").await;
        let _ = replace_session(&client, plan, invited).await;
        operate(&client, "pause_room").await;
        assert_first(&client, &cases, next).await;
    }
    permit(&client, ACTOR, true).await;
    assert_first(&client, &cases, Obstacle::Paused).await;
    operate(&client, "resume_room").await;
    assert_first(&client, &cases, Obstacle::Body).await;
}

/// Managing rooms and sessions needs no session.
#[tokio::test]
async fn private_table_management_checks_ownership_then_pause_then_body() {
    let server = launch_with_free_plans().start().await;
    let client = server.client();
    permit(&client, "Op", true).await;
    make_private(&client).await;
    let session = replace_session(&client, "bare", &[ACTOR]).await;
    let lobby = json!({"actorId": "Nova", "roomId": "lobby"});
    let _ = client.act("/v1/rooms", lobby).await.data();
    let path = format!("/v1/table-sessions/{}", text(&session["sessionId"]));
    let manage = async |actor: &str| {
        let room = json!({"actorId": actor, "roomId": ROOM, "displayName": "Den"});
        let table = json!({"actorId": actor, "roomId": ROOM, "planId": "full"});
        let change = client.request(Method::PATCH, &path).key(&fresh_key());
        let change = change.json(&json!({"actorId": actor, "status": "gone"}));
        [
            client.act("/v1/rooms", room).await,
            client.act("/v1/table-sessions", table).await,
            change.send().await,
        ]
    };
    operate(&client, "pause_room").await;
    for answer in manage(ACTOR).await {
        assert_eq!(answer.error(403, "ERR_FORBIDDEN")["actorId"], ACTOR);
    }
    let labels = ["room_upsert", "table_session_create", "table_session_update"];
    for (answer, label) in manage("Nova").await.iter().zip(labels) {
        assert_eq!(answer.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED")["action"], label);
    }
    operate(&client, "resume_room").await;
    let [room, table, change] = manage("Nova").await;
    assert_eq!(room.data()["room"]["displayName"], "Den");
    assert_eq!(table.error(400, "ERR_VALIDATION")["sessionId"], session["sessionId"]);
    assert_eq!(change.error(400, "ERR_INVALID_ENUM")["field"], "status");
    let open = async |actor: &str| {
        client.act("/v1/table-sessions", json!({"actorId": actor, "roomId": "lobby", "planId": "full"})).await
    };
    let _ = open(ACTOR).await.error(403, "ERR_FORBIDDEN");
    assert_eq!(open("Nova").await.error(400, "ERR_VALIDATION")["roomType"], "lobby");
}
