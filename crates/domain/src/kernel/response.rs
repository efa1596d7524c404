//! The responses to commands.

/// Declares the response to a command: its members; then, with `+ emitted_events` behind its name, every event of the request;
/// then the correlation id. `reply` takes the members and renders the response.
macro_rules! response {
    ($(#[$doc:meta])* $name:ident $(+ $emitted:ident)? {
        $($(#[$attribute:meta])* $member:ident : $of:ty),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$attribute])* $member: $of,)*
            $(
                /// Every event of this request, in order.
                $emitted: Vec<$crate::kernel::EmittedEvent>,
            )?
            correlation_id: $crate::kernel::CorrelationId,
        }

        impl $name {
            fn reply(
                ctx: &$crate::kernel::CommandContext<'_>,
                success: $crate::kernel::Success,
                $($member: $of),*
            ) -> $crate::kernel::Reply {
                let correlation_id = ctx.correlation_id.clone();
                let response = Self { $($member,)* $($emitted: ctx.emitted(),)? correlation_id };
                $crate::kernel::Reply::new(success, &response)
            }
        }
    };
}
pub(crate) use response;
