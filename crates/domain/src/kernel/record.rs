//! Typed records and queries of them, independent of any database.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::kernel::ids::{ActorId, RoomId, Sequence, TenantId};
use crate::kernel::owner::Owner;
use crate::kernel::time::Timestamp;

/// A value of a key or of a column that lists filter and sort by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    /// No value.
    Null,
    /// A number, a flag (0 or 1) or a time (milliseconds since the epoch).
    Integer(i64),
    /// A text.
    Text(Arc<str>),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&u64> for Cell {
    fn from(number: &u64) -> Self {
        Self::Integer(i64::try_from(*number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}

impl From<Timestamp> for Cell {
    fn from(at: Timestamp) -> Self {
        Self::Integer(at.as_millis())
    }
}

impl From<Sequence> for Cell {
    fn from(sequence: Sequence) -> Self {
        (&sequence.0).into()
    }
}

impl From<Uuid> for Cell {
    fn from(id: Uuid) -> Self {
        Self::Text((*id.hyphenated().encode_lower(&mut Uuid::encode_buffer())).into())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Owner> for Cell {
    fn from(owner: &Owner) -> Self {
        owner.as_str().into()
    }
}

impl From<Arc<str>> for Cell {
    fn from(text: Arc<str>) -> Self {
        Self::Text(text)
    }
}

macro_rules! cell_from_copy {
    ($($of:ty),*) => {$(
        impl From<&$of> for Cell {
            fn from(value: &$of) -> Self {
                (*value).into()
            }
        }
    )*};
}
cell_from_copy!(bool, Timestamp, Sequence, Uuid);

macro_rules! cell_from_id {
    ($($id:ty),*) => {$(
        impl From<&$id> for Cell {
            fn from(id: &$id) -> Self {
                Self::Text(id.shared())
            }
        }
    )*};
}
cell_from_id!(TenantId, RoomId, ActorId);

macro_rules! cell_from_optional {
    ($($of:ty),*) => {$(
        impl From<&Option<$of>> for Cell {
            fn from(value: &Option<$of>) -> Self {
                value.as_ref().into()
            }
        }
    )*};
}
cell_from_optional!(RoomId, ActorId, String, Owner);

impl<T> From<Option<T>> for Cell
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// The values of a record's key columns, in the order of its [`Table`].
pub type Key = Vec<Cell>;

/// How one kind of record is laid out: its key, and the columns beside the body.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// The table's name in every database.
    pub name: &'static str,
    /// The columns that make a record unique.
    pub key: &'static [&'static str],
    /// The columns that lists filter or sort by, beside the key.
    pub columns: &'static [&'static str],
}

impl Table {
    /// Whether this is a column, in the key or beside it.
    pub fn has(&self, column: &str) -> bool {
        self.key.contains(&column) || self.columns.contains(&column)
    }

    /// A record's value in a column; none if there is no such column.
    pub fn cell<'r>(&self, record: &'r StoredRecord, column: &str) -> Option<&'r Cell> {
        let in_key = self.key.iter().position(|name| *name == column);
        let beside = || self.columns.iter().position(|name| *name == column);
        in_key.map(|at| &record.key[at]).or_else(|| beside().map(|at| &record.columns[at]))
    }
}

/// One kind of state that commands read and write.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where records of this kind are kept.
    const TABLE: &'static Table;

    /// The values of [`Table::key`].
    fn key(&self) -> Key;

    /// The values of [`Table::columns`].
    fn columns(&self) -> Vec<Cell>;
}

/// Implements [`Record`]: the table, its key in brackets, and its columns beside the key. A column has the value of the field
/// of its name, or of the expression behind `=`, in which the record has the name after `as`.
macro_rules! record {
    ($record:ident in $table:literal: $($columns:tt)*) => {
        record!($record in $table as record: $($columns)*);
    };
    ($record:ident in $table:literal as $this:ident:
     [$($key:ident $(= $key_value:expr)?),*] $($column:ident $(= $value:expr)?),*) => {
        impl $crate::kernel::Record for $record {
            const TABLE: &'static $crate::kernel::Table = &$crate::kernel::Table {
                name: $table,
                key: &[$(stringify!($key)),*],
                columns: &[$(stringify!($column)),*],
            };

            fn key(&self) -> $crate::kernel::Key {
                let $this = self;
                vec![$(record!(@cell $this $key $($key_value)?)),*]
            }

            fn columns(&self) -> Vec<$crate::kernel::Cell> {
                let $this = self;
                let _ = $this;
                vec![$(record!(@cell $this $column $($value)?)),*]
            }
        }
    };
    (@cell $this:ident $column:ident) => {
        $crate::kernel::Cell::from(&$this.$column)
    };
    (@cell $this:ident $column:ident $value:expr) => {
        $crate::kernel::Cell::from($value)
    };
}
pub(crate) use record;

/// A record that an import changes on its way into another store.
pub trait Portable: Record {
    /// Adapts it to a store whose log ends at `head`. A durable follower continues at `head`, so that it processes no event
    /// twice; what needs a secret, which is never exported, is disabled, with the reason.
    fn adapt(&mut self, head: Sequence);
}

/// A record as stores keep it: its key and columns, and its body as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The values of [`Table::key`].
    pub key: Key,
    /// The values of [`Table::columns`].
    pub columns: Vec<Cell>,
    /// The record, serialised.
    pub json: Vec<u8>,
}

impl StoredRecord {
    /// Serialises a record.
    pub fn of<R: Record>(record: &R) -> Self {
        let json = serde_json::to_vec(record).expect("a record has text keys and finite numbers");
        Self { key: record.key(), columns: record.columns(), json }
    }

    /// Reads the record back.
    ///
    /// # Errors
    /// When the stored JSON is not a record of this kind: the store holds something that no version wrote.
    pub fn read<R: Record>(&self) -> Result<R, CorruptRecord> {
        serde_json::from_slice(&self.json)
            .map_err(|error| CorruptRecord { table: R::TABLE.name, why: error.to_string() })
    }
}

/// A stored record that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptRecord {
    /// The table it came from.
    pub table: &'static str,
    /// The reader's error.
    pub why: String,
}

impl std::fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a record in {} cannot be read: {}", self.table, self.why)
    }
}

impl std::error::Error for CorruptRecord {}

/// How a column compares to a value. Null satisfies only [`Comparison::Is`] with null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal, where null equals null.
    Is,
    /// Not equal, where null differs from every value.
    IsNot,
    /// Less than or equal.
    AtMost,
    /// Greater than.
    Above,
    /// Less than.
    Below,
}

/// One condition on a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// A column of the table, in the key or beside it.
    pub column: &'static str,
    /// How it compares.
    pub comparison: Comparison,
    /// What it is compared to.
    pub value: Cell,
}

impl Condition {
    fn holds(&self, cell: &Cell) -> bool {
        let both_set = *cell != Cell::Null && self.value != Cell::Null;
        match self.comparison {
            Comparison::Is => *cell == self.value,
            Comparison::IsNot => *cell != self.value,
            Comparison::AtMost => both_set && *cell <= self.value,
            Comparison::Above => both_set && *cell > self.value,
            Comparison::Below => both_set && *cell < self.value,
        }
    }
}

/// Records of one kind that satisfy all conditions, in order, at most `limit`.
///
/// The same query selects in a database and among what a batch has written, so both agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordQuery {
    /// The kind of record.
    pub table: &'static Table,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The column to sort by; the key breaks ties, ascending.
    pub order_by: &'static str,
    /// Whether the largest comes first.
    pub descending: bool,
    /// Only records behind this position in the order.
    pub after: Option<SortKey>,
    /// The most that are returned.
    pub limit: usize,
}

/// A record's position in the order of a [`RecordQuery`]: the value it is sorted by, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The value of the column to sort by.
    pub sorted_by: Cell,
    /// The key.
    pub key: Key,
}

impl RecordQuery {
    /// All records of a kind, smallest `order_by` first.
    pub fn all<R: Record>(order_by: &'static str, limit: usize) -> Self {
        Self { table: R::TABLE, conditions: Vec::new(), order_by, descending: false, after: None, limit }
    }

    /// The same, largest first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Keeps only records for which the comparison holds.
    #[must_use]
    pub fn only(mut self, column: &'static str, comparison: Comparison, value: impl Into<Cell>) -> Self {
        debug_assert!(self.table.has(column), "{} has no column {column}", self.table.name);
        self.conditions.push(Condition { column, comparison, value: value.into() });
        self
    }

    /// Keeps only records whose column equals `value`.
    #[must_use]
    pub fn is(self, column: &'static str, value: impl Into<Cell>) -> Self {
        self.only(column, Comparison::Is, value)
    }

    /// As [`RecordQuery::is`] if there is a value; else keeps every record.
    #[must_use]
    pub fn is_if_given<T>(self, column: &'static str, value: Option<T>) -> Self
    where
        Cell: From<T>,
    {
        match value {
            Some(value) => self.is(column, value),
            None => self,
        }
    }

    /// Continues behind a position in this order.
    #[must_use]
    pub fn behind(mut self, position: Option<SortKey>) -> Self {
        self.after = position;
        self
    }

    /// A record's position in this order.
    pub fn position(&self, record: &StoredRecord) -> SortKey {
        let sorted_by = self.table.cell(record, self.order_by).cloned().unwrap_or(Cell::Null);
        SortKey { sorted_by, key: record.key.clone() }
    }

    /// Whether a record satisfies all conditions.
    pub fn matches(&self, record: &StoredRecord) -> bool {
        let holds = self.conditions.iter().all(|condition| {
            self.table.cell(record, condition.column).is_some_and(|cell| condition.holds(cell))
        });
        holds && self.after.as_ref().is_none_or(|position| self.is_behind(record, position))
    }

    fn is_behind(&self, record: &StoredRecord, position: &SortKey) -> bool {
        let by_column = self.table.cell(record, self.order_by).cmp(&Some(&position.sorted_by));
        let by_column = if self.descending { by_column.reverse() } else { by_column };
        by_column.then_with(|| record.key.cmp(&position.key)).is_gt()
    }

    /// Compares two records by this order.
    pub fn compare(&self, left: &StoredRecord, right: &StoredRecord) -> Ordering {
        let by_column = self.table.cell(left, self.order_by).cmp(&self.table.cell(right, self.order_by));
        let by_column = if self.descending { by_column.reverse() } else { by_column };
        by_column.then_with(|| left.key.cmp(&right.key))
    }
}

/// What a command may read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// The record with this key.
    One(&'static Table, Key),
    /// The records that a [`RecordQuery`] selects.
    Many(RecordQuery),
}

impl Query {
    /// Selects the record of kind `R` with this key.
    pub fn one<R: Record>(key: Key) -> Self {
        Self::One(R::TABLE, key)
    }
}
