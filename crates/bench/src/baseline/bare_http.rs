//! A bare axum handler: it parses a say and answers about as many bytes as agentcafe does.

use std::net::Ipv4Addr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde::Deserialize;

/// Bytes of an answer.
const ANSWER_BYTES: usize = 1024;

/// A say's body, owned, as a server that goes on to use it would have it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SayBody {
    tenant_id: String,
    room_id: String,
    actor_id: String,
    text: String,
}

/// Serves on this port of 127.0.0.1 until killed.
pub(crate) fn serve(port: u16) -> Result<()> {
    let router = Router::new().route("/readyz", get(|| async {})).route("/v1/commands/say", post(answer_say));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let listener = listener.tap_io(|stream| {
            // A connection that cannot be configured fails by itself soon enough.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
}

async fn answer_say(body: Bytes) -> Response {
    let Ok(say) = serde_json::from_slice::<SayBody>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut answer = format!(
        r#"{{"ok":true,"tenantId":"{}","roomId":"{}","actorId":"{}","text":"{}","filler":""#,
        say.tenant_id, say.room_id, say.actor_id, say.text
    );
    let filler_bytes = ANSWER_BYTES.saturating_sub(answer.len() + 2);
    answer.extend(std::iter::repeat_n('.', filler_bytes));
    answer.push_str("\"}");
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], answer)
        .into_response()
}
