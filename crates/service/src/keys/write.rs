//! Makes, changes, rotates and revokes API keys.

use agentcafe_domain::kernel::{DomainError, Fields, OperationError, Rules, TenantId};
use agentcafe_domain::keys::manage::{ChangeKey as ChangeKeyCommand, CreateKey as CreateKeyCommand, Issuer, WriteKeyResponse};
use agentcafe_domain::keys::token::RANDOM_BYTES;

use crate::operation::{Call, Input, KeyScope, Mutation, Prepared, Subject};

/// Makes a key.
pub struct CreateKey;

impl Mutation for CreateKey {
    type Command = CreateKeyCommand;
    type Answer = WriteKeyResponse;

    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<CreateKeyCommand>, OperationError> {
        let random = call.service.engine.random();
        let command = CreateKeyCommand::read(&call.input.body, call.caller.issuer(), random);
        let tenant = command.tenant();
        let scope = KeyScope::post([tenant.as_str(), "keys", "create"]);
        Ok(Prepared { command, subject: subject(tenant), scope })
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = CreateKeyCommand::read(&input.body, Issuer::Root, [0; RANDOM_BYTES]);
    }
}

fn subject(tenant: TenantId) -> Subject {
    Subject { tenant, room: None, actor: None }
}

/// Declares a mutation of one key: its name, its verb, the last part of its scope, and the command it becomes.
macro_rules! change_key {
    ($(#[$doc:meta])* $name:ident, $verb:ident $part:literal, |$fields:ident, $issuer:ident, $id:ident, $random:ident| $command:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl $name {
            fn command($fields: &Fields, $issuer: Issuer, $id: String, $random: [u8; RANDOM_BYTES]) -> ChangeKeyCommand {
                $command
            }
        }

        impl Mutation for $name {
            type Command = ChangeKeyCommand;
            type Answer = WriteKeyResponse;

            fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
                Ok(Self)
            }

            async fn prepare(self, call: &Call<'_>) -> Result<Prepared<ChangeKeyCommand>, OperationError> {
                let id = call.input.id.clone();
                let scope = KeyScope::$verb(["keys", &id, $part]);
                let (issuer, random) = (call.caller.issuer(), call.service.engine.random());
                let tenant = call.caller.tenant().cloned().unwrap_or_default();
                Ok(Prepared { command: Self::command(&call.input.body, issuer, id, random), subject: subject(tenant), scope })
            }

            fn describe(input: &Input, _: &Rules) {
                let _ = Self::command(&input.body, Issuer::Root, String::new(), [0; RANDOM_BYTES]);
            }
        }
    };
}

change_key! {
    /// Changes a key's name or end.
    ChangeKey, patch "patch", |fields, issuer, id, _random| ChangeKeyCommand::update(fields, issuer, id)
}
change_key! {
    /// Gives a key a new secret; the one before counts for a while.
    RotateKey, post "rotate", |fields, issuer, id, random| ChangeKeyCommand::rotate(fields, issuer, id, random)
}
change_key! {
    /// Ends a key.
    RevokeKey, delete "delete", |_fields, issuer, id, _random| ChangeKeyCommand::revoke(issuer, id)
}
