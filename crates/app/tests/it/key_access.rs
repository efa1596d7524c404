//! Every operation with every kind of API key, for the key's own actor, room and tenant and for others: the cases come from the
//! table in `key_table`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;

use agentcafe_testkit::keys::SHARED_TOKEN;
use agentcafe_testkit::{Answer, Client, Method, Request, Value, fresh_key, json};

use crate::key_table::{ROWS, Row};
use crate::launch;
use crate::monitoring::documented;

mod holders;
mod world;

use holders::{Holder, holders};
use world::{Place, SECRETS, World};

/// A field that identifies the caller, as a row of the table names it.
struct Identity {
    name: &'static str,
    in_query: bool,
    /// Whether an operator may name another.
    is_free_for_operators: bool,
}

impl Identity {
    fn of(row: &'static Row) -> Vec<Self> {
        let field = |text: &'static str| Self {
            name: text.trim_start_matches('?').trim_end_matches('~'),
            in_query: text.starts_with('?') || row.method() == "GET",
            is_free_for_operators: text.ends_with('~'),
        };
        row.identity.split_whitespace().map(field).collect()
    }

    /// The value that is the caller's own, and one that is not.
    fn values(&self) -> (&'static str, &'static str) {
        match self.name {
            "tenantId" => ("acme", "rival"),
            "roomId" => ("lab", "vault"),
            _ => ("Nova", "Kai"),
        }
    }

    fn names_an_actor(&self) -> bool {
        !["tenantId", "roomId"].contains(&self.name)
    }
}

/// What must come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    /// A success.
    Reached,
    /// 401.
    Unauthorized,
    /// 403, which names the missing scope.
    NoScope,
    /// 403, which names this field and what the key allows.
    NotBound(&'static str),
    /// 404.
    NotFound,
    /// 403 or 404.
    Refused,
    /// Anything but a refusal of a field that identifies the caller.
    Unbound,
}

impl Want {
    fn holds(self, answer: &Answer) -> bool {
        let details = &answer.json["error"]["details"];
        let is_bound = details["field"].is_string() && details["allowed"].is_array();
        match self {
            Self::Reached => (200..300).contains(&answer.status),
            Self::Unauthorized => answer.status == 401,
            Self::NoScope => answer.status == 403 && details["scope"].is_string(),
            Self::NotBound(field) => answer.status == 403 && is_bound && details["field"] == field,
            Self::NotFound => answer.status == 404,
            Self::Refused => [403, 404].contains(&answer.status),
            Self::Unbound => answer.status < 500 && answer.status != 401 && !is_bound,
        }
    }
}

/// What goes on while the table is run: what a case got instead of what it wanted.
struct Run {
    world: World,
    cases: usize,
    failures: Vec<String>,
}

impl Run {
    /// Sends a request of an operation with some identity fields, and compares what comes.
    async fn case(
        &mut self,
        row: &'static Row,
        holder: &Holder,
        (what, place): (&str, Place),
        identity: &[(&Identity, &str)],
        want: Want,
    ) {
        let path = self.world.path(row, place, want == Want::Reached).await;
        let answer = send(prepared(&holder.client, row, &path, identity)).await;
        self.cases += 1;
        let leaked = SECRETS.into_iter().filter(|secret| answer.text.contains(secret));
        let leaked: Vec<_> = leaked.filter(|secret| !holder.may_see(secret, answer.status)).collect();
        if !want.holds(&answer) || !leaked.is_empty() {
            let shown: String = answer.text.chars().take(300).collect();
            self.failures.push(format!(
                "{} as {}, {what}: wanted {want:?}, got {} {leaked:?} {shown}",
                row.route, holder.name, answer.status
            ));
        }
    }

    /// The cases of one operation and one key.
    async fn cases(&mut self, row: &'static Row, holder: &Holder) {
        let identity = Identity::of(row);
        let own = |field: &&Identity| !field.names_an_actor() || holder.names_actors();
        let all: Vec<_> = identity.iter().filter(own).map(|field| (field, field.values().0)).collect();
        if !row.is_open_to(holder.scopes) {
            self.case(row, holder, ("with a scope too few", Place::Own), &all, Want::NoScope).await;
            return;
        }
        let own = match World::is_out_of_reach(row, holder) {
            true => Want::NotFound,
            // It has no permissions of its own.
            false if row.identity.contains('~') && !holder.names_actors() => Want::Unbound,
            false => Want::Reached,
        };
        self.case(row, holder, ("all fields its own", Place::Own), &all, own).await;
        if holder.fills_in() {
            self.case(row, holder, ("fields left out", Place::Own), &[], own).await;
        }
        for (at, field) in identity.iter().enumerate() {
            let mut fields = all.clone();
            fields.retain(|(known, _)| !std::ptr::eq(*known, field));
            fields.insert(at.min(fields.len()), (field, field.values().1));
            let what = format!("{} of another", field.name);
            let want = holder.want_of(field.name, field.is_free_for_operators);
            if want == Want::Unbound && field.name == "ownerActorId" {
                continue; // It would give the room away.
            }
            self.case(row, holder, (&what, Place::Own), &fields, want).await;
        }
        for place in [Place::OtherTenant, Place::OtherRoom, Place::OtherActor] {
            if let Some(want) = self.world.want_at(row, place, holder) {
                self.case(row, holder, (&format!("an id of {place:?}"), place), &all, want).await;
            }
        }
    }
}

/// A request of an operation, with these identity fields.
fn prepared(client: &Client, row: &Row, path: &str, identity: &[(&Identity, &str)]) -> Request {
    let mut request = client.request(row.method().parse::<Method>().unwrap(), path);
    let mut rest: Value = serde_json::from_str(row.request).unwrap();
    for (field, value) in identity {
        if field.in_query {
            request = request.query(field.name, value);
        } else {
            rest[field.name] = json!(value);
        }
    }
    match row.method() {
        "GET" => rest
            .as_object()
            .unwrap()
            .iter()
            .fold(request, |request, (name, value)| request.query(name, value.as_str().unwrap())),
        _ => request.key(&fresh_key()).json(&rest),
    }
}

/// The answer; of a stream, only that it began.
async fn send(request: Request) -> Answer {
    match request.stream().await {
        Ok(stream) => {
            drop(stream);
            Answer { status: 200, headers: Default::default(), text: String::new(), json: Value::Null }
        }
        Err(answer) => answer,
    }
}

/// Every route of the document has a row, and every row a route: what is not in the table is no operation.
async fn assert_complete(client: &Client) {
    let routes = documented(client).await.into_iter();
    let served: BTreeSet<String> =
        routes.map(|(method, path, _)| format!("{} {path}", method.to_uppercase())).collect();
    let listed: BTreeSet<String> = ROWS.iter().map(|row| row.route.to_owned()).collect();
    assert_eq!(listed.len(), ROWS.len(), "a row is repeated");
    assert_eq!(served.symmetric_difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Kind: what a key does not allow is refused by every operation, and tells nothing of what it did not reach.
#[tokio::test]
async fn key_table_holds_for_every_operation_and_kind_of_key() {
    let server = launch()
        .with_shared_token()
        .env("TRUSTED_PROXIES", "127.0.0.1/32")
        .env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true)
        .start()
        .await;
    let root = server.client().with_token(SHARED_TOKEN);
    assert_complete(&root).await;
    let holders = holders(&server.client(), &root).await;
    let mut run = Run { world: World::new(&root).await, cases: 0, failures: Vec::new() };
    for (at, row) in ROWS.iter().enumerate() {
        for (holder, strangers) in holders.iter().zip(0..) {
            if !holder.is_stranger() {
                run.cases(row, holder).await;
                continue;
            }
            // Failures are counted by address.
            let address = format!("10.{strangers}.{}.{}", at / 20, at % 20 + 1);
            let stranger =
                Holder { client: holder.client.clone().with_header("x-forwarded-for", &address), ..*holder };
            let want = if row.needs == "public" { Want::Reached } else { Want::Unauthorized };
            run.case(row, &stranger, ("without a key that counts", Place::Own), &[], want).await;
        }
    }
    assert!(
        run.failures.is_empty(),
        "{} of {} cases:\n{}",
        run.failures.len(),
        run.cases,
        run.failures.join("\n")
    );
}

/// The rows of the table by the scopes that they need, as docs/api.md has them.
fn documented_scopes() -> String {
    let mut scopes: Vec<&str> = ROWS.iter().map(|row| row.needs).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let line = |needs: &&str| {
        let routes = ROWS.iter().filter(|row| row.needs == *needs).map(|row| format!("`{}`", row.route));
        let name = match *needs {
            "public" => "no key".to_owned(),
            "-" => "any key".to_owned(),
            scopes => scopes
                .split('|')
                .map(|all| format!("`{}`", all.replace('+', "` and `")))
                .collect::<Vec<_>>()
                .join(", or "),
        };
        format!("| {name} | {} |\n", routes.collect::<Vec<_>>().join(", "))
    };
    scopes.iter().map(line).collect()
}

/// The documentation has the same table.
#[test]
fn key_table_is_documented() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md")).unwrap();
    let table = documented_scopes();
    assert!(document.contains(&table), "docs/api.md lacks this table of scopes:\n{table}");
}
