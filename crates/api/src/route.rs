//! One route: its method and path, the operation behind it, what it reads and what it answers.

use std::{pin::Pin, sync::Arc};

use agentcafe_domain::kernel::{
    fields::{CORRELATION_ID, DescribedField, Fields},
    rules::Rules,
};
use agentcafe_http::{ApiError, StreamProtocol, answer, sse};
use agentcafe_service::{EventList, Input, Mutation, Operation, events::Subscription};
use axum::{
    extract::{Request, State},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use crate::{
    app::App,
    event_stream::EventStream,
    request::{self, Reads},
    response,
};

/// A route, described well enough to document itself.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) method: Method,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) is_hidden: bool,
    pub(crate) parameters: Vec<DescribedField>,
    pub(crate) body: Option<Vec<DescribedField>>,
    pub(crate) answer: Answer,
    pub(crate) handler: MethodRouter<Arc<App>>,
}

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

    /// What its requests carry. The body of a `DELETE` is not read.
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

type Responding = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// Serves one method with a function of the app and the request.
fn serve(method: Method, handle: fn(Arc<App>, Request) -> Responding) -> MethodRouter<Arc<App>> {
    on(method.filter(), move |State(app): State<Arc<App>>, request: Request| handle(app, request))
}

impl Route {
    /// A route with a handler of its own.
    pub(crate) fn new(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        Self {
            path,
            method: Method::Get,
            tag,
            summary,
            is_hidden: false,
            parameters: Vec::new(),
            body: None,
            answer: Answer::Any,
            handler,
        }
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
        let handler = serve(Method::Get, |app, request| {
            Box::pin(
                async move { Ok(answer::found(&T::from(call::<O>(&app, request, Reads::Query).await?))) },
            )
        });
        let (parameters, _) = fields_of(O::describe);
        let answer = Answer::Data(&[200], schema_of::<T>);
        Self { parameters, answer, ..Self::new(path, tag, summary, handler) }
    }

    /// A mutation that answers `{"ok":true,"data":…}` with one of these statuses.
    pub(crate) fn mutation<M: Mutation>(
        method: Method,
        statuses: &'static [u16],
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self
    where
        M::Answer: JsonSchema,
    {
        let handler = on(method.filter(), move |State(app): State<Arc<App>>, request: Request| async move {
            let executed = call::<M>(&app, request, method.reads()).await?;
            Ok::<_, ApiError>(response::executed(&executed))
        });
        let (parameters, body) = fields_of(<M as Mutation>::describe);
        let body = (method != Method::Delete).then_some(body);
        let answer = Answer::Data(statuses, schema_of::<M::Answer>);
        Self { method, parameters, body, answer, ..Self::new(path, tag, summary, handler) }
    }

    /// Creates or does something.
    pub(crate) fn post<M: Mutation>(
        status: &'static [u16],
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self
    where
        M::Answer: JsonSchema,
    {
        Self::mutation::<M>(Method::Post, status, path, tag, summary)
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

    /// Server-sent events.
    pub(crate) fn stream<O: Operation<Output = Subscription>>(
        path: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let handler = serve(Method::Get, |app, request| {
            Box::pin(async move {
                let subscription = call::<O>(&app, request, Reads::Stream).await?;
                Ok(sse::response(EventStream::open(
                    &app.stream_hub,
                    StreamProtocol::EventStream,
                    subscription,
                )))
            })
        });
        let (parameters, _) = fields_of(O::describe);
        Self { parameters, answer: Answer::Stream, ..Self::new(path, tag, summary, handler) }
    }

    /// Answers in another way.
    pub(crate) fn answers(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// Leaves the route out of the document.
    pub(crate) fn hidden(self) -> Self {
        Self { is_hidden: true, ..self }
    }
}

/// A read that lists events under a name, with other members beside them.
pub(crate) fn event_list<O, T>(
    path: &'static str,
    name: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Route
where
    O: Operation<Output = EventList<T>>,
    T: Serialize + JsonSchema + Send + 'static,
{
    let handler = on(MethodFilter::GET, move |State(app): State<Arc<App>>, request: Request| async move {
        Ok::<_, ApiError>(response::events(name, &call::<O>(&app, request, Reads::Query).await?))
    });
    let (parameters, _) = fields_of(O::describe);
    Route {
        parameters,
        answer: Answer::Events(name, schema_of::<T>),
        ..Route::new(path, tag, summary, handler)
    }
}

/// The parameters and the members of the body that an operation reads.
fn fields_of(describe: fn(&Input, &Rules)) -> (Vec<DescribedField>, Vec<DescribedField>) {
    let (parameters, body) = (Fields::describing(), Fields::describing());
    let input = Input { id: String::new(), parameters, body, last_event_id: None };
    describe(&input, &Rules::default());
    let _ = input.body.correlation(CORRELATION_ID);
    (input.parameters.described(), input.body.described())
}
