//! The budget of a process for the bytes of large responses that are being sent: clients that read slowly cannot fill its memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::response::Response;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::ApiError;

const BUDGET_KIB: u32 = 12 << 10;
static BUDGET: Semaphore = Semaphore::const_new(BUDGET_KIB as usize);
/// Smaller responses are not counted: they fit into the buffers of a connection.
const MIN_COUNTED_BYTES: u64 = 64 << 10;
/// How many pages of the log are held at the same time to make responses.
static PAGES: Semaphore = Semaphore::const_new(MAX_PAGES as usize);
/// The most pages of which a response is made.
pub const MAX_PAGES: u32 = 2;
/// How long a request waits for its share, and to make its page.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The share that a response has of the budget, until it was sent; an extension of the response.
#[derive(Clone)]
pub(crate) struct Share(
    #[expect(dead_code, reason = "held until it is dropped")] Arc<SemaphorePermit<'static>>,
);

/// The KiB that a response takes of the budget; none for a small one.
fn counted_kib(response: &Response) -> Option<u32> {
    let bytes = response.body().size_hint().exact().filter(|bytes| *bytes >= MIN_COUNTED_BYTES)?;
    Some(u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(BUDGET_KIB).min(BUDGET_KIB))
}

fn with_share(mut response: Response, permit: SemaphorePermit<'static>) -> Response {
    response.extensions_mut().insert(Share(Arc::new(permit)));
    response
}

/// Gives a response its share of the budget.
///
/// # Errors
/// `ERR_UNAVAILABLE`: the budget is spent.
pub fn counted(response: Response) -> Result<Response, ApiError> {
    let Some(kib) = counted_kib(&response) else { return Ok(response) };
    Ok(with_share(response, BUDGET.try_acquire_many(kib).map_err(|_| spent())?))
}

/// Makes a response of so many pages of the log, whose size is not known before. If the budget is spent, it is discarded, and
/// made again once there is a share for it.
///
/// # Errors
/// Those of `make`; and `ERR_UNAVAILABLE` if the budget stays spent.
pub async fn counted_pages<F>(pages: u32, make: impl Fn() -> F) -> Result<Response, ApiError>
where
    F: Future<Output = Result<Response, ApiError>>,
{
    let make = async || {
        let _making = timeout(MAX_WAIT, PAGES.acquire_many(pages)).await.map_err(|_| spent())?;
        make().await
    };
    let response = make().await?;
    let Some(kib) = counted_kib(&response) else { return Ok(response) };
    if let Ok(permit) = BUDGET.try_acquire_many(kib) {
        return Ok(with_share(response, permit));
    }
    drop(response);
    let permit = timeout(MAX_WAIT, BUDGET.acquire_many(kib)).await.map_err(|_| spent())?;
    let permit = permit.map_err(|_| spent())?;
    Ok(with_share(make().await?, permit))
}

fn spent() -> ApiError {
    ApiError::unavailable(
        "too many large responses are being sent; try again later, or ask for smaller pages",
    )
}
