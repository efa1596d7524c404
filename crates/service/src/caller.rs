//! Who calls an operation, and how the call came in.

use agentcafe_domain::kernel::{CORRELATION_ID, CorrelationId, DomainError, Fields};
use agentcafe_domain::keys::Principal;
use agentcafe_engine::Engine;

/// The header that carries a client's correlation id.
const CORRELATION_HEADER: &str = "x-correlation-id";

/// Who calls, and how the call came in. Every transport makes one per call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who calls.
    pub principal: Principal,
    /// How the call came in.
    pub transport: Transport,
    /// The id of this call, for its trace and its answer.
    pub request_id: String,
    /// The correlation id that came beside the input; one in the input takes precedence.
    pub correlation_id: Option<String>,
    /// The key under which a mutation takes effect once.
    pub idempotency_key: Option<String>,
}

/// How a call came in, as traces show it.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Where it came in: for HTTP, the path.
    pub route: String,
    /// By which verb: for HTTP, the method.
    pub method: &'static str,
    /// Whether the call is a mere probe: an HTTP `HEAD`, or a request that a foreign web page sends. Reads have no effect for a
    /// probe, and do not wait.
    pub is_probe: bool,
}

impl Caller {
    /// The correlation id of a mutation: the one in its input, else the one beside it, else a fresh one.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for one that is no id.
    pub(crate) fn correlation_id(
        &self,
        body: &Fields,
        engine: &Engine,
    ) -> Result<CorrelationId, DomainError> {
        if let Some(given) = body.correlation(CORRELATION_ID)? {
            return Ok(given);
        }
        let given = self.correlation_id.as_deref().map(CorrelationId::parse).transpose();
        let given = given.map_err(|why| DomainError::invalid(CORRELATION_HEADER, why.to_string()))?;
        Ok(given.unwrap_or_else(|| engine.fresh_correlation_id()))
    }
}
