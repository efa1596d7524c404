//! One route: its method and path, the operation behind it, what it reads and what it answers.

use std::sync::Arc;

use agentcafe_domain::kernel::{CORRELATION_ID, DescribedField, Fields, Rules};
use agentcafe_http::{ApiError, StreamProtocol, answer, sse, stream};
use agentcafe_service::events::FollowedEvents;
use agentcafe_service::{EventList, Input, Mutation, Operation};
use axum::extract::{Request, State};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::request::{self, Reads};
use crate::response;

/// A route, described well enough to document itself.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) method: Method,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) is_hidden: bool,
    pub(crate) answer: Answer,
    pub(crate) handler: MethodRouter<Arc<App>>,
    describe: Describe,
}

/// Reads every field that an operation takes.
type Describe = fn(&Input, &Rules);

/// What is done with what a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    /// The name in the document.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether it takes effect, once per idempotency key.
    pub(crate) fn is_mutation(self) -> bool {
        self != Self::Get
    }

    /// The requests that it serves: `HEAD` as `GET`.
    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// Whether its requests carry a body. That of a `DELETE` is not read.
    pub(crate) fn has_body(self) -> bool {
        self.reads() == Reads::Body
    }

    /// What its requests carry.
    const fn reads(self) -> Reads {
        match self {
            Self::Get => Reads::Query,
            Self::Delete => Reads::Key,
            Self::Post | Self::Patch => Reads::Body,
        }
    }
}

/// Makes the schema of a type, once the document is made.
pub(crate) type Schema = fn(&mut SchemaGenerator) -> Value;

/// What a route answers when it succeeds.
pub(crate) enum Answer {
    /// `{"ok":true,"data":…}` with one of these statuses.
    Data(&'static [u16], Schema),
    /// Events under a name, and other members beside them.
    Events(&'static str, Schema),
    /// A document without an envelope.
    Bare(Schema),
    /// `{"ok":true,"data":{name:true}}`.
    Flag(&'static str),
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

/// Calls an operation with what a request carries.
async fn call<O: Operation>(app: &Arc<App>, request: Request, reads: Reads) -> Result<O::Output, ApiError> {
    let (caller, input) = request::read(app, request, reads).await?;
    Ok(app.service.call::<O>(&caller, &input).await?)
}

impl Route {
    /// A `GET` with a handler of its own.
    pub(crate) fn new(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        let (method, answer, describe): (_, _, Describe) = (Method::Get, Answer::Any, |_, _| ());
        Self { path, method, tag, summary, is_hidden: false, answer, handler, describe }
    }

    /// A read that answers `{"ok":true,"data":…}`.
    pub(crate) fn read<O: Operation>(path: &'static str, tag: &'static str, summary: &'static str) -> Self
    where
        O::Output: Serialize + JsonSchema,
    {
        Self::read_as::<O, O::Output>(path, tag, summary)
    }

    /// A read whose answer is shown as a `T`.
    pub(crate) fn read_as<O: Operation, T: From<O::Output> + Serialize + JsonSchema>(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let handler = get(async |State(app): State<Arc<App>>, request: Request| {
            let output = call::<O>(&app, request, Reads::Query).await?;
            Ok::<_, ApiError>(answer::found(&T::from(output)))
        });
        let answer = Answer::Data(&[200], schema_of::<T>);
        Self { describe: O::describe, answer, ..Self::new(path, tag, summary, handler) }
    }

    /// A read that lists events under a name, with other members beside them.
    pub(crate) fn events<O, T>(
        path: &'static str,
        name: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self
    where
        O: Operation<Output = EventList<T>>,
        T: Serialize + JsonSchema + Send + 'static,
    {
        let handler = get(async move |State(app): State<Arc<App>>, request: Request| {
            let list = call::<O>(&app, request, Reads::Query).await?;
            Ok::<_, ApiError>(response::events(name, &list))
        });
        let answer = Answer::Events(name, schema_of::<T>);
        Self { describe: O::describe, answer, ..Self::new(path, tag, summary, handler) }
    }

    /// Server-sent events.
    pub(crate) fn stream<O: Operation<Output = FollowedEvents>>(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let handler = get(async |State(app): State<Arc<App>>, request: Request| {
            let stream = call::<O>(&app, request, Reads::Stream).await?;
            let frames = stream::frames(stream, StreamProtocol::EventStream, app.metrics.clone());
            Ok::<_, ApiError>(sse::response(frames))
        });
        Self { describe: O::describe, answer: Answer::Stream, ..Self::new(path, tag, summary, handler) }
    }

    /// A mutation that answers `{"ok":true,"data":…}` with one of these statuses.
    fn mutation<M: Mutation>(
        method: Method,
        statuses: &'static [u16],
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self
    where
        M::Answer: JsonSchema,
    {
        let handler = on(method.filter(), async move |State(app): State<Arc<App>>, request: Request| {
            let executed = call::<M>(&app, request, method.reads()).await?;
            Ok::<_, ApiError>(response::executed(&executed))
        });
        let (answer, describe) = (Answer::Data(statuses, schema_of::<M::Answer>), M::describe as Describe);
        Self { method, describe, answer, ..Self::new(path, tag, summary, handler) }
    }

    /// Creates or does something.
    pub(crate) fn post<M: Mutation>(
        statuses: &'static [u16],
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self
    where
        M::Answer: JsonSchema,
    {
        Self::mutation::<M>(Method::Post, statuses, path, tag, summary)
    }

    /// Changes something that exists.
    pub(crate) fn patch<M: Mutation>(path: &'static str, tag: &'static str, summary: &'static str) -> Self
    where
        M::Answer: JsonSchema,
    {
        Self::mutation::<M>(Method::Patch, &[200], path, tag, summary)
    }

    /// Deletes something.
    pub(crate) fn delete<M: Mutation>(path: &'static str, tag: &'static str, summary: &'static str) -> Self
    where
        M::Answer: JsonSchema,
    {
        Self::mutation::<M>(Method::Delete, &[200], path, tag, summary)
    }

    /// Answers in another way.
    pub(crate) fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// Leaves the route out of the document.
    pub(crate) fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }

    /// The fields that its operation reads of the query and of the body, with the bounds that these rules set.
    pub(crate) fn fields(&self, rules: &Rules) -> (Vec<DescribedField>, Vec<DescribedField>) {
        let (parameters, body) = (Fields::describing(), Fields::describing());
        let input = Input { id: String::new(), parameters, body, last_event_id: None };
        (self.describe)(&input, rules);
        let _ = input.body.correlation(CORRELATION_ID);
        (input.parameters.described(), input.body.described())
    }
}
