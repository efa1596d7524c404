//! Which operation needs which scopes of an API key, and which fields identify its caller: the table from which the cases of
//! `key_access` are generated, and the table of docs/api.md is checked.

/// An operation of the API.
pub(crate) struct Row {
    /// Its method and path.
    pub(crate) route: &'static str,
    /// The scopes that a key needs: `public` for none and no key either, `-` for any key; alternatives are separated by `|`.
    pub(crate) needs: &'static str,
    /// The fields that a key fills in, or that must agree with it: in the query of a `GET`, else in the body; `?name` is in the
    /// query all the same, and `name~` must agree unless the key has the scope `operate`.
    pub(crate) identity: &'static str,
    /// What else a request has: the members of the body, or the parameters.
    pub(crate) request: &'static str,
    /// Whether what an id in the path names is kept from other actors.
    pub(crate) is_private: bool,
}

const fn row(route: &'static str, needs: &'static str, identity: &'static str, request: &'static str) -> Row {
    Row { route, needs, identity, request, is_private: false }
}

impl Row {
    const fn private(self) -> Self {
        Self { is_private: true, ..self }
    }

    /// The method.
    pub(crate) fn method(&self) -> &'static str {
        self.route.split_once(' ').map_or("", |(method, _)| method)
    }

    /// The path, with the names of its parameters.
    pub(crate) fn path(&self) -> &'static str {
        self.route.split_once(' ').map_or("", |(_, path)| path)
    }

    /// Whether a key with these scopes suffices.
    pub(crate) fn is_open_to(&self, scopes: &[&str]) -> bool {
        let has = |scope: &str| scopes.contains(&"admin") || scopes.contains(&scope);
        ["public", "-"].contains(&self.needs)
            || self.needs.split('|').any(|needed| needed.split('+').all(|scope| has(scope.trim())))
    }
}

const READER: &str = "tenantId roomId viewerActorId";
const ACTOR: &str = "tenantId roomId actorId";
const BY_ID: &str = "tenantId viewerActorId";
const EDITOR: &str = "tenantId ?tenantId actorId";

/// Every operation.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("GET /healthz", "public", "", "{}"),
    row("GET /livez", "public", "", "{}"),
    row("GET /readyz", "public", "", "{}"),
    row("GET /metrics", "observe", "", "{}"),
    row("GET /openapi.json", "public", "", "{}"),
    row("GET /asyncapi.json", "public", "", "{}"),
    row("GET /v1/bootstrap", "inbox+listen", "tenantId roomId actorId viewerActorId", "{}"),
    row("GET /v1/agent/bootstrap", "inbox+listen", "tenantId roomId actorId viewerActorId", "{}"),
    row("GET /v1/digest", "inbox+listen", "tenantId roomId actorId viewerActorId", "{}"),
    row("GET /v1/inbox", "inbox", "tenantId roomId actorId viewerActorId", "{}"),
    row("POST /v1/inbox/ack", "inbox", "tenantId roomId actorId ackedBy", r#"{"upToCursor":1}"#),
    row("POST /v1/inbox/{inboxId}/ack", "inbox", "tenantId actorId ackedBy", "{}").private(),
    row("GET /v1/commands", "listen", ACTOR, "{}"),
    row("POST /v1/commands/enter", "act", ACTOR, "{}"),
    row("POST /v1/commands/leave", "act", ACTOR, "{}"),
    row("POST /v1/commands/move", "act", ACTOR, r#"{"direction":"E"}"#),
    row("POST /v1/commands/say", "act", ACTOR, r#"{"text":"hi"}"#),
    row("POST /v1/commands/order", "act", ACTOR, r#"{"itemId":"tea"}"#),
    row("POST /v1/conversations/messages", "act", ACTOR, r#"{"text":"hi"}"#),
    row("POST /v1/intents/execute", "act", ACTOR, r#"{"intent":"navigate_to","payload":{"x":3,"y":4}}"#),
    row("POST /v1/presence/heartbeat", "act", ACTOR, "{}"),
    row("GET /v1/messages/{messageId}", "listen", BY_ID, "{}"),
    row("GET /v1/threads/{threadId}", "listen", BY_ID, "{}"),
    row("GET /v1/search", "listen", READER, r#"{"q":"secret"}"#),
    row("GET /v1/presence", "listen", READER, "{}"),
    row("GET /v1/presence/last-seen", "listen", READER, "{}"),
    row("GET /v1/events", "listen|follow", READER, "{}"),
    row("GET /v1/timeline", "listen|follow", READER, "{}"),
    row("GET /v1/mentions", "listen|follow", READER, "{}"),
    row("GET /v1/events/poll", "listen|follow", "tenantId roomId actorId viewerActorId", r#"{"timeoutMs":"0"}"#),
    row("GET /v1/streams/market-events", "listen|follow", READER, "{}"),
    row("GET /v1/events/stream", "listen|follow", READER, "{}"),
    row("GET /v1/replay", "listen", READER, "{}"),
    row("GET /v1/memory/local", "listen", READER, "{}"),
    row("GET /v1/collaboration/score", "listen", READER, "{}"),
    row("GET /v1/snapshots/room", "listen", READER, "{}"),
    row("POST /v1/snapshots/room", "remember", ACTOR, r#"{"state":{}}"#),
    row("GET /v1/snapshots/agent", "remember", "tenantId roomId actorId viewerActorId", "{}"),
    row("POST /v1/snapshots/agent", "remember", ACTOR, r#"{"state":{}}"#),
    row("GET /v1/tasks", "listen", READER, "{}"),
    row("GET /v1/tasks/{taskId}", "listen", BY_ID, "{}"),
    row("GET /v1/tasks/{taskId}/handoffs", "listen", BY_ID, "{}"),
    row("POST /v1/tasks", "work", ACTOR, r#"{"title":"t"}"#),
    row("PATCH /v1/tasks/{taskId}", "work", EDITOR, r#"{"state":"active"}"#).private(),
    row("POST /v1/tasks/{taskId}/handoffs", "work", EDITOR, r#"{"action":"assign","toAssigneeActorId":"Nova"}"#).private(),
    row("GET /v1/objects", "listen", READER, "{}"),
    row("GET /v1/objects/{objectId}", "listen", BY_ID, "{}"),
    row("POST /v1/objects", "work", ACTOR, "{}"),
    row("PATCH /v1/objects/{objectId}", "work", EDITOR, r#"{"content":"tea"}"#),
    row("GET /v1/rooms", "listen", "tenantId roomId actorId viewerActorId", "{}"),
    row("GET /v1/rooms/{roomId}", "listen", "tenantId", "{}"),
    row("POST /v1/rooms", "host", "tenantId roomId actorId ownerActorId", r#"{"displayName":"Lab"}"#),
    row("GET /v1/table-sessions", "listen", READER, "{}"),
    row("GET /v1/table-sessions/{sessionId}", "listen", BY_ID, "{}").private(),
    row("POST /v1/table-sessions", "host", "tenantId actorId ownerActorId", r#"{"planId":"espresso","paymentProof":"coffee_paid"}"#),
    row("PATCH /v1/table-sessions/{sessionId}", "host", EDITOR, r#"{"metadata":{}}"#).private(),
    row("GET /v1/rooms/context/pin", "listen", READER, "{}"),
    row("GET /v1/rooms/context/history", "listen", READER, "{}"),
    row("POST /v1/rooms/context/pin", "operate", ACTOR, r#"{"content":"be kind"}"#),
    row("GET /v1/permissions", "listen", "tenantId roomId actorId~", "{}"),
    row("POST /v1/permissions", "operate", "tenantId roomId operatorId", r#"{"actorId":"Kai","canSpeak":true}"#),
    row("GET /v1/operator/overrides", "operate", "tenantId roomId operatorId viewerActorId", "{}"),
    row("POST /v1/operator/overrides", "operate", "tenantId roomId operatorId", r#"{"action":"resume_room"}"#),
    row("GET /v1/operator/audit", "operate", READER, "{}"),
    row("GET /v1/profiles", "listen", "tenantId", "{}"),
    row("GET /v1/profiles/{actorId}", "listen", "tenantId", "{}"),
    row("POST /v1/profiles", "act", ACTOR, r#"{"displayName":"Nova"}"#),
    row("PATCH /v1/profiles/{actorId}", "act", "tenantId ?tenantId", r#"{"displayName":"Nova"}"#).private(),
    row("DELETE /v1/profiles/{actorId}", "act", "?tenantId", "{}").private(),
    row("GET /v1/reactions/subscriptions", "react", "tenantId roomId", "{}"),
    row("GET /v1/reactions/subscriptions/{subscriptionId}", "react", "tenantId", "{}").private(),
    row("POST /v1/reactions/subscriptions", "react+act", "tenantId roomId createdBy", r#"{"targetActorId":"Nova","actionType":"say","actionPayload":{"text":"hi"},"enabled":false}"#),
    row("PATCH /v1/reactions/subscriptions/{subscriptionId}", "react+act", EDITOR, r#"{"enabled":false}"#).private(),
    row("DELETE /v1/reactions/subscriptions/{subscriptionId}", "react", "?tenantId ?actorId", "{}").private(),
    row("GET /v1/subscriptions", "hook", "tenantId roomId", "{}"),
    row("GET /v1/subscriptions/{subscriptionId}", "hook", "tenantId", "{}").private(),
    row("POST /v1/subscriptions", "hook+listen", "tenantId roomId", r#"{"targetUrl":"http://127.0.0.1:9/","enabled":false}"#),
    row("PATCH /v1/subscriptions/{subscriptionId}", "hook+listen", "tenantId ?tenantId", r#"{"enabled":false}"#).private(),
    row("DELETE /v1/subscriptions/{subscriptionId}", "hook", "?tenantId", "{}").private(),
    row("GET /v1/subscriptions/deliveries", "hook", BY_ID, "{}"),
    row("GET /v1/subscriptions/dlq", "hook", BY_ID, "{}"),
    row("POST /v1/subscriptions/dlq/{dlqId}/replay", "hook", EDITOR, "{}").private(),
    row("GET /v1/traces/{correlationId}", "-", "tenantId", "{}").private(),
    row("GET /v1/keys", "admin", "tenantId", "{}"),
    row("POST /v1/keys", "admin", "", r#"{"kind":"viewer"}"#),
    row("GET /v1/keys/{keyId}", "admin", "tenantId", "{}"),
    row("PATCH /v1/keys/{keyId}", "admin", "", r#"{"name":"a name"}"#),
    row("POST /v1/keys/{keyId}/rotate", "admin", "", "{}"),
    row("GET /v1/keys/self", "-", "", "{}"),
    row("GET /v1/keys/live", "follow", "", r#"{"credentialIds":"unknown"}"#),
    row("POST /v1/tickets", "listen", "", r#"{"path":"/v1/streams/market-events","query":{}}"#),
    row("POST /v1/tickets/redeem", "follow", "", r#"{"ticket":"unknown","path":"/v1/streams/market-events","query":{}}"#),
    row("DELETE /v1/keys/{keyId}", "admin", "", "{}"),
];
