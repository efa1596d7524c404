//! Limits the bytes of large responses: those that are made, and those that are being sent.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agentcafe_domain::kernel::OperationError;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{Extensions, Method};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tower::Service;

use crate::budget::{Budget, Share};
use crate::chunks::InChunks;
use crate::client::Client;
use crate::error::ApiError;
use crate::middleware::Middleware;

/// For responses that are sent as a whole.
static BUDGET: Budget = Budget::new(16 << 10, 8 << 10);
/// Smaller responses are not counted: they fit into the buffers of a connection.
const MIN_COUNTED_BYTES: u64 = 64 << 10;
/// For responses of several pages of the log that are being made: two at a time, one of each client. Each takes one KiB of it.
static MAKING: Budget = Budget::new(2, 1);
/// How long a request waits until it may make its pages: others of its client may be before it.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// The share of a response, until it was sent; an extension of the response.
#[derive(Clone)]
pub(crate) struct ResponseShare(#[expect(dead_code, reason = "held until it is dropped")] Arc<Share>);

/// The permit to make a response of several pages of the log, whose size is not known before; an extension of the response until
/// it has its share of the budget.
#[derive(Clone)]
pub struct Making(#[expect(dead_code, reason = "held until it is dropped")] Arc<Share>);

impl Making {
    /// Waits for it, at most 15 s. `extensions` are those of a request that the middleware let through.
    ///
    /// # Errors
    /// `ERR_UNAVAILABLE`: others are making theirs.
    pub async fn begin(extensions: &Extensions) -> Result<Self, ApiError> {
        let client: &Client = extensions.get().ok_or_else(OperationError::internal)?;
        let share = timeout(MAX_WAIT, MAKING.wait(client, 1)).await.map_err(|_| spent())?;
        Ok(Self(Arc::new(share)))
    }
}

fn spent() -> ApiError {
    ApiError::unavailable(
        "too many large responses are being sent; try again later, or ask for smaller pages",
    )
}

/// Gives large responses of reads their share of the budget, or refuses them. What is sent [in chunks](crate::chunks) has a
/// budget of its own.
#[derive(Clone)]
pub(crate) struct LimitBytes<S> {
    pub(crate) inner: S,
    pub(crate) middleware: Arc<Middleware>,
}

impl<S> Service<Request> for LimitBytes<S>
where
    S: Service<Request, Response = Response, Future: Send + 'static>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.inner.call(request).boxed();
        }
        let client = self.middleware.client(&request);
        request.extensions_mut().insert(client.clone());
        let response = self.inner.call(request);
        async move { Ok(counted(response.await?, client)) }.boxed()
    }
}

fn counted(mut response: Response, client: Client) -> Response {
    let _made = response.extensions_mut().remove::<Making>();
    let size = response.body().size_hint().exact().filter(|bytes| *bytes >= MIN_COUNTED_BYTES);
    let Some(bytes) = size.filter(|_| response.extensions().get::<InChunks>().is_none()) else {
        return response;
    };
    match BUDGET.take(&client, bytes) {
        Some(share) => {
            response.extensions_mut().insert(ResponseShare(Arc::new(share)));
            response
        }
        None => spent().into_response(),
    }
}
