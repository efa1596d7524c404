//! One way to reach something: its path, its handler, and what it reads and answers.

use std::sync::Arc;

use agentcafe_domain::kernel::fields::{CORRELATION_ID, DescribedField, Fields};
use axum::routing::MethodRouter;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::app::App;

type Handler = MethodRouter<Arc<App>>;

/// A route, described well enough to document itself.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) method: Method,
    pub(crate) is_hidden: bool,
    pub(crate) query: Vec<DescribedField>,
    pub(crate) body: Option<Vec<DescribedField>>,
    pub(crate) answer: Answer,
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
}

/// Makes the schema of a type, once the document is made.
pub(crate) type Schema = fn(&mut SchemaGenerator) -> Value;

/// What a route answers when all is well.
pub(crate) enum Answer {
    /// `{"ok":true,"data":…}` with this status.
    Data(u16, Schema),
    /// The same with either status.
    Either([u16; 2], Schema),
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

impl Route {
    fn new(path: &'static str, handler: Handler, tag: &'static str, summary: &'static str) -> Self {
        Self {
            path,
            handler,
            tag,
            summary,
            method: Method::Get,
            is_hidden: false,
            query: Vec::new(),
            body: None,
            answer: Answer::Any,
        }
    }

    /// Something that changes nothing.
    pub(crate) fn read(
        path: &'static str,
        handler: Handler,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self::new(path, handler, tag, summary)
    }

    /// Something that takes effect once per idempotency key.
    pub(crate) fn mutation(
        path: &'static str,
        handler: Handler,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method: Method::Post, ..Self::new(path, handler, tag, summary) }
    }

    /// A mutation that changes something that exists.
    pub(crate) fn change(
        path: &'static str,
        handler: Handler,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method: Method::Patch, ..Self::new(path, handler, tag, summary) }
    }

    /// A mutation that deletes something. It has no body.
    pub(crate) fn deletion(
        path: &'static str,
        handler: Handler,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method: Method::Delete, ..Self::new(path, handler, tag, summary) }
    }

    /// A route that the document does not show.
    pub(crate) fn hidden(path: &'static str, handler: Handler) -> Self {
        Self { is_hidden: true, ..Self::new(path, handler, "", "") }
    }

    /// Reads these query parameters.
    pub(crate) fn query<T>(mut self, reader: impl FnOnce(&Fields) -> T) -> Self {
        self.query = Fields::describe(reader);
        self
    }

    /// Reads these members of the body.
    pub(crate) fn body<T>(mut self, reader: impl FnOnce(&Fields) -> T) -> Self {
        self.body = Some(Fields::describe(|fields| {
            let read = reader(fields);
            let _ = fields.correlation(CORRELATION_ID);
            read
        }));
        self
    }

    /// Answers `{"ok":true,"data":T}`.
    pub(crate) fn answers<T: JsonSchema>(self, status: u16) -> Self {
        Self { answer: Answer::Data(status, schema_of::<T>), ..self }
    }

    /// Answers `{"ok":true,"data":T}` with one of two statuses.
    pub(crate) fn answers_either<T: JsonSchema>(self, one: u16, other: u16) -> Self {
        Self { answer: Answer::Either([one, other], schema_of::<T>), ..self }
    }

    /// Answers with events under `name`, and the members of `T` beside them.
    pub(crate) fn lists_events<T: JsonSchema>(self, name: &'static str) -> Self {
        Self { answer: Answer::Events(name, schema_of::<T>), ..self }
    }

    /// Answers in another way.
    pub(crate) fn answers_with(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
}
