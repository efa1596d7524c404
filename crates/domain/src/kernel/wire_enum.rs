//! Enumerations whose values have a name on the wire.

/// Declares an enumeration and the name of each value on the wire, which is also its name in stored JSON and in columns.
macro_rules! wire_enum {
    ($(#[$attribute:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $text:literal,)*
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All values with their names, in the order of the documentation.
            $vis const NAMES: [(&'static str, Self); [$($text),*].len()] = [$(($text, Self::$variant)),*];

            /// The name on the wire.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl From<&$name> for $crate::kernel::Cell {
            fn from(value: &$name) -> Self {
                value.as_str().into()
            }
        }
    };
}
pub(crate) use wire_enum;
