//! Who makes a request, where a request can say it twice: beside its body and in it.

use std::fmt::Display;

use super::{Field, Fields, TENANT_ID};
use crate::kernel::binding::Binding;
use crate::kernel::error::DomainError;
use crate::kernel::ids::{ActorId, InvalidId, TenantId};

/// The names under which requests say which actor makes them.
const CALLER_FIELDS: [&str; 6] =
    ["actorId", "operatorId", "createdBy", "ackedBy", "viewerActorId", "ownerActorId"];

impl Fields {
    /// Checks these parameters beside a body: as whom they say that a caller with an API key acts, the key must allow, and the body
    /// must not say otherwise. Without a key, parameters that are not read are ignored.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id, `ERR_FORBIDDEN {field, allowed}`.
    pub fn check_caller_beside(&self, body: &Self) -> Result<(), DomainError> {
        if self.binding.is_none() {
            return Ok(());
        }
        self.agree(body, TENANT_ID, TenantId::parse)?;
        for name in CALLER_FIELDS {
            let field = Field::new(name, "", "").of_caller();
            if let Some(actor) = self.agree(body, field, ActorId::parse)? {
                self.acting(field, Some(actor))?;
            }
        }
        Ok(())
    }

    /// The id that these parameters hold, which must not be another than that in the body. What else is wrong with the body is refused
    /// where it is read.
    fn agree<T: PartialEq + Display>(
        &self,
        body: &Self,
        field: Field,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, DomainError> {
        let beside = self.optional_id(field, parse)?;
        if let (Some(beside), Ok(Some(named))) = (&beside, body.optional_id(field, parse))
            && *beside != named
        {
            let message = format!("{0} is {beside} beside the body and {named} in it", field.name);
            return Err(Binding::refusal(field.name, message, vec![named.to_string()]));
        }
        Ok(beside)
    }
}
