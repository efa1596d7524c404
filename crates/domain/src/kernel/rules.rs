//! The settings that decide what commands mean: read once at start, the same for every command.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The rules of one subject, which declares them with their defaults.
pub trait RuleSet: Any + Debug + Send + Sync {
    /// These rules with every setting at its default.
    fn defaults() -> &'static Self
    where
        Self: Sized;
}

/// Makes a type that is [`Default`] a [`RuleSet`].
macro_rules! rule_set {
    ($rules:ty) => {
        impl $crate::kernel::RuleSet for $rules {
            fn defaults() -> &'static Self {
                static DEFAULTS: std::sync::LazyLock<$rules> = std::sync::LazyLock::new(Default::default);
                &DEFAULTS
            }
        }
    };
}
pub(crate) use rule_set;

/// The rules of all subjects. Those that are not set have their defaults.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    sets: Vec<Arc<dyn RuleSet>>,
}

impl Rules {
    /// Sets the rules of one subject.
    #[must_use]
    pub fn with(mut self, rules: impl RuleSet) -> Self {
        self.sets.retain(|set| (**set).type_id() != rules.type_id());
        self.sets.push(Arc::new(rules));
        self
    }

    /// The rules of one subject.
    pub fn get<R: RuleSet>(&self) -> &R {
        let set = self.sets.iter().find_map(|set| (&**set as &dyn Any).downcast_ref());
        set.unwrap_or_else(|| R::defaults())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Colour(u32);

    impl Default for Colour {
        fn default() -> Self {
            Self(7)
        }
    }
    rule_set!(Colour);

    #[test]
    fn rules_that_are_not_set_have_their_defaults() {
        let rules = Rules::default();
        assert_eq!(rules.get::<Colour>(), &Colour(7));
        let rules = rules.with(Colour(8)).with(Colour(9));
        assert_eq!((rules.get::<Colour>(), rules.sets.len()), (&Colour(9), 1));
    }
}
