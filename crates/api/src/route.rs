//! One route: its method and path, the operation behind it, what it reads and what it responds with.

use std::any::type_name;
use std::sync::{Arc, OnceLock};

use agentcafe_domain::kernel::{CORRELATION_ID, DescribedField, Fields, OperationError, Rules, TENANT_ID};
use agentcafe_http::chunks::ChunkBudget;
use agentcafe_http::outgoing::Making;
use agentcafe_http::websocket::Upgrade;
use agentcafe_http::{ApiError, KnownNames, StreamProtocol, answer, sse, stream};
use agentcafe_service::LastEventId;
use agentcafe_service::events::FollowedEvents;
use agentcafe_service::{EventList, Input, Mutation, Operation};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::event_list;
use crate::request::{self, BESIDE_BODY, Reads};
use crate::response;

type Text = &'static str;

/// A route, described well enough to document itself.
pub(crate) struct Route {
    pub(crate) path: Text,
    pub(crate) method: Method,
    pub(crate) tag: Text,
    pub(crate) summary: Text,
    /// The name of its operation, which generated clients call it by.
    pub(crate) operation_id: String,
    pub(crate) is_hidden: bool,
    pub(crate) response: ResponseKind,
    pub(crate) handler: MethodRouter<Arc<App>>,
    describe: Describe,
}

/// Reads every field that an operation takes.
type Describe = fn(&Input, &Rules);

/// Makes the schema of a type, once the document is made.
pub(crate) type Schema = fn(&mut SchemaGenerator) -> Value;

/// What a route responds with when it succeeds.
pub(crate) enum ResponseKind {
    /// `{"ok":true,"data":…}` with one of these statuses.
    Data(&'static [u16], Schema),
    /// Events under a name, and other members beside them.
    Events(Text, Schema),
    /// A document without an envelope.
    Bare(Schema),
    /// `{"ok":true,"data":{name:true}}`.
    Flag(Text),
    /// Server-sent events.
    Stream,
    /// A text.
    Text,
    /// Some JSON object.
    Any,
}

/// The schema of a type.
pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// The name of an operation without another: that of its type, in camel case.
fn name_of<O>() -> String {
    let name =
        type_name::<O>().split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or_default();
    name[..1].to_ascii_lowercase() + &name[1..]
}

/// The fields of the query and of the body that an operation reads, with the bounds that these rules set.
fn fields(describe: Describe, rules: &Rules) -> (Vec<DescribedField>, Vec<DescribedField>) {
    let (parameters, body) = (Fields::describing(), Fields::describing());
    let input = Input { id: String::new(), parameters, body, last_event_id: LastEventId::Missing };
    describe(&input, rules);
    let _ = input.body.correlation(CORRELATION_ID);
    (input.parameters.described(), input.body.described())
}

/// How requests for an operation are answered.
#[derive(Clone)]
struct Endpoint {
    reads: Reads,
    describe: Describe,
    /// Listed at the first request.
    known: Arc<OnceLock<KnownNames>>,
}

impl Endpoint {
    fn new<O: Operation>(reads: Reads) -> Self {
        Self { reads, describe: O::describe, known: Arc::default() }
    }

    fn known_names(&self, app: &App) -> &KnownNames {
        self.known.get_or_init(|| {
            let (mut query, body) = fields(self.describe, &app.service.engine().rules);
            // The service checks it wherever the caller is bound to a tenant.
            let tenant = Fields::describing();
            let _ = tenant.tenant(TENANT_ID);
            query.extend(tenant.described());
            if self.reads == Reads::Command {
                query.extend(body.iter().filter(|field| BESIDE_BODY.contains(&field.name)).cloned());
            }
            KnownNames::new(&query, &body, &app.settings.token.query_param)
        })
    }

    /// Calls the operation with the input that a request carries, and renders its output.
    async fn respond<O: Operation>(
        &self,
        app: &Arc<App>,
        request: Request,
        render: impl FnOnce(O::Output) -> Response,
    ) -> Result<Response, ApiError> {
        let request::ReceivedRequest { caller, input, handling } =
            request::read(app, request, self.reads, self.known_names(app)).await?;
        let response = match handling.check() {
            Ok(()) => app.service.call::<O>(&caller, &input).await.map(render).map_err(ApiError),
            Err(unknown) => Err(unknown.into()),
        };
        Ok(handling.note(response.into_response()))
    }

    /// The response to a read that lists events.
    async fn events<O, T>(&self, app: &Arc<App>, request: Request, name: &str) -> Result<Response, ApiError>
    where
        O: Operation<Output = EventList<T>>,
        T: Serialize,
    {
        let budget = ChunkBudget::of(request.extensions()).ok_or_else(OperationError::internal)?;
        let respond = |list| event_list::respond(name, list, &app.service.engine().store, budget);
        self.respond::<O>(app, request, respond).await
    }
}

/// Each constructor takes the path, the heading in the document, and a summary.
impl Route {
    /// A `GET` with a handler of its own.
    pub(crate) fn new(path: Text, tag: Text, summary: Text, handler: MethodRouter<Arc<App>>) -> Self {
        let (method, response, describe): (_, _, Describe) = (Method::GET, ResponseKind::Any, |_, _| ());
        let operation_id = String::new();
        Self { path, method, tag, summary, operation_id, is_hidden: false, response, handler, describe }
    }

    /// A read that responds with `{"ok":true,"data":…}`.
    pub(crate) fn read<O>(path: Text, tag: Text, summary: Text) -> Self
    where
        O: Operation<Output: Serialize + JsonSchema>,
    {
        Self::read_as::<O, O::Output>(path, tag, summary)
    }

    /// A read whose output is shown as a `T`.
    pub(crate) fn read_as<O, T>(path: Text, tag: Text, summary: Text) -> Self
    where
        O: Operation,
        T: From<O::Output> + Serialize + JsonSchema,
    {
        let endpoint = Endpoint::new::<O>(Reads::Query);
        let handler = get(async move |State(app): State<Arc<App>>, request: Request| {
            endpoint.respond::<O>(&app, request, |output| answer::read(&T::from(output))).await
        });
        let response = ResponseKind::Data(&[200], schema_of::<T>);
        Self::new(path, tag, summary, handler).calls::<O>(O::describe, response)
    }

    /// A read that lists events under a name, with other members beside them.
    pub(crate) fn events<O, T>(path: Text, name: Text, tag: Text, summary: Text) -> Self
    where
        O: Operation<Output = EventList<T>>,
        T: Serialize + JsonSchema + Send + 'static,
    {
        let endpoint = Endpoint::new::<O>(Reads::Query);
        let handler = get(async move |State(app): State<Arc<App>>, request: Request| {
            endpoint.events::<O, T>(&app, request, name).await
        });
        let response = ResponseKind::Events(name, schema_of::<T>);
        Self::new(path, tag, summary, handler).calls::<O>(O::describe, response)
    }

    /// As [`Route::events`], for a read that holds several pages of the log at once.
    pub(crate) fn pages<O, T>(path: Text, name: Text, tag: Text, summary: Text) -> Self
    where
        O: Operation<Output = EventList<T>>,
        T: Serialize + JsonSchema + Send + 'static,
    {
        let endpoint = Endpoint::new::<O>(Reads::Query);
        let handler = get(async move |State(app): State<Arc<App>>, request: Request| {
            let making = Making::begin(request.extensions()).await?;
            let mut response = endpoint.events::<O, T>(&app, request, name).await?;
            response.extensions_mut().insert(making);
            Ok::<_, ApiError>(response)
        });
        Self { handler, ..Self::events::<O, T>(path, name, tag, summary) }
    }

    /// A stream of server-sent events.
    pub(crate) fn stream<O>(path: Text, tag: Text, summary: Text) -> Self
    where
        O: Operation<Output = FollowedEvents>,
    {
        let endpoint = Endpoint::new::<O>(Reads::Stream);
        let handler = get(async move |State(app): State<Arc<App>>, request: Request| {
            let respond = |events| {
                sse::response(stream::frames(events, StreamProtocol::EventStream, app.metrics.clone()))
            };
            endpoint.respond::<O>(&app, request, respond).await
        });
        Self::new(path, tag, summary, handler).calls::<O>(O::describe, ResponseKind::Stream)
    }

    /// The same over a WebSocket. OpenAPI cannot describe one: the AsyncAPI document does.
    pub(crate) fn socket<O>(path: Text) -> Self
    where
        O: Operation<Output = FollowedEvents>,
    {
        let endpoint = Endpoint::new::<O>(Reads::Stream);
        let handler = get(async move |State(app): State<Arc<App>>, upgrade: Upgrade, request: Request| {
            let respond = |events| {
                let frames = stream::frames(events, StreamProtocol::WebSocket, app.metrics.clone());
                upgrade.response(frames, app.settings.service.stream_heartbeat)
            };
            endpoint.respond::<O>(&app, request, respond).await
        });
        Self::new(path, "", "", handler).hidden()
    }

    /// Does something as an actor in a room, both of which the query may name beside the body.
    pub(crate) fn command<M>(path: Text, tag: Text, summary: Text) -> Self
    where
        M: Mutation<Answer: JsonSchema>,
    {
        Self::mutation::<M>(Method::POST, Reads::Command, &[202], [path, tag, summary])
    }

    /// Creates or does something, and responds with one of these statuses.
    pub(crate) fn post<M>(statuses: &'static [u16], path: Text, tag: Text, summary: Text) -> Self
    where
        M: Mutation<Answer: JsonSchema>,
    {
        Self::mutation::<M>(Method::POST, Reads::Body, statuses, [path, tag, summary])
    }

    /// Changes something that exists.
    pub(crate) fn patch<M: Mutation<Answer: JsonSchema>>(path: Text, tag: Text, summary: Text) -> Self {
        Self::mutation::<M>(Method::PATCH, Reads::Body, &[200], [path, tag, summary])
    }

    /// Deletes something. The body of such a request is not read.
    pub(crate) fn delete<M: Mutation<Answer: JsonSchema>>(path: Text, tag: Text, summary: Text) -> Self {
        Self::mutation::<M>(Method::DELETE, Reads::Key, &[200], [path, tag, summary])
    }

    fn mutation<M: Mutation<Answer: JsonSchema>>(
        method: Method,
        reads: Reads,
        statuses: &'static [u16],
        [path, tag, summary]: [Text; 3],
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("axum routes the methods of mutations");
        let endpoint = Endpoint::new::<M>(reads);
        let handler = on(filter, async move |State(app): State<Arc<App>>, request: Request| {
            endpoint.respond::<M>(&app, request, |executed| response::executed(&executed)).await
        });
        let response = ResponseKind::Data(statuses, schema_of::<M::Answer>);
        let route = Self { method, ..Self::new(path, tag, summary, handler) };
        route.calls::<M>(M::describe, response)
    }

    /// Describes the operation behind it.
    fn calls<O>(self, describe: Describe, response: ResponseKind) -> Self {
        Self { operation_id: name_of::<O>(), describe, response, ..self }
    }

    /// Names its operation otherwise than the type.
    pub(crate) fn named(self, operation_id: &str) -> Self {
        Self { operation_id: operation_id.to_owned(), ..self }
    }

    /// Responds in another way.
    pub(crate) fn responds(self, response: ResponseKind) -> Self {
        Self { response, ..self }
    }

    /// Leaves the route out of the document.
    pub(crate) fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }

    /// Whether it takes effect, once per idempotency key.
    pub(crate) fn is_mutation(&self) -> bool {
        self.method != Method::GET
    }

    /// The method as the document names it.
    pub(crate) fn method_key(&self) -> String {
        self.method.as_str().to_ascii_lowercase()
    }

    /// The fields that its operation reads of the query and of the body, with the bounds that these rules set.
    pub(crate) fn fields(&self, rules: &Rules) -> (Vec<DescribedField>, Vec<DescribedField>) {
        fields(self.describe, rules)
    }
}
