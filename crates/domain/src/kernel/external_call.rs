//! A call to a system outside that a command needs the response of: made between two attempts to decide it, never in a batch.

use std::any::Any;
use std::sync::Arc;

/// The request of a call to a system outside, and the type of its response. Each subject declares its own.
pub trait CallRequest: Any + Send + Sync {
    /// The response. A call that fails has one too.
    type Response: Any + Send + Sync;
}

/// A [`CallRequest`] of any type.
#[derive(Debug)]
pub struct ExternalCall(Box<dyn Any + Send + Sync>);

impl ExternalCall {
    /// The call that makes this request.
    pub fn new(request: impl CallRequest) -> Self {
        Self(Box::new(request))
    }

    /// The request, if it is of this type.
    ///
    /// # Errors
    /// The call itself, if its request is of another type.
    pub fn request<C: CallRequest>(self) -> Result<C, Self> {
        self.0.downcast().map(|request| *request).map_err(Self)
    }
}

/// The response to an [`ExternalCall`].
#[derive(Clone, Debug)]
pub struct CallResult(Arc<dyn Any + Send + Sync>);

impl CallResult {
    /// The response to a request of type `C`.
    pub fn new<C: CallRequest>(response: C::Response) -> Self {
        Self(Arc::new(response))
    }

    /// The response, if it answers a request of type `C`.
    pub fn response_to<C: CallRequest>(&self) -> Option<&C::Response> {
        self.0.downcast_ref()
    }
}
