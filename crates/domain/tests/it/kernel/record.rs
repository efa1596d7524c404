//! Queries of records.

use agentcafe_domain::kernel::{Cell, Comparison, Condition, RecordQuery, StoredRecord, Table};

const TABLE: Table = Table { name: "things", key: &["id"], columns: &["owner", "at"] };

fn thing(id: i64, owner: Option<&str>, at: i64) -> StoredRecord {
    StoredRecord { key: vec![id.into()], columns: vec![owner.into(), at.into()], json: Vec::new() }
}

#[test]
fn record_query_conditions_hold_for_columns_and_keys() {
    let find = |column, comparison, value: Cell| RecordQuery {
        table: &TABLE,
        conditions: vec![Condition { column, comparison, value }],
        order_by: "id",
        descending: false,
        after: None,
        limit: 10,
    };
    let cases = [
        ("owner", Comparison::Is, Cell::from("a"), true),
        ("owner", Comparison::IsNot, Cell::Null, true),
        ("owner", Comparison::IsNot, Cell::from("a"), false),
        ("at", Comparison::AtMost, Cell::from(5), true),
        ("at", Comparison::Above, Cell::from(5), false),
        ("id", Comparison::Below, Cell::from(2), true),
        ("id", Comparison::Above, Cell::Null, false),
        ("unknown", Comparison::Is, Cell::Null, false),
    ];
    for (column, comparison, value, want) in cases {
        let find = find(column, comparison, value);
        assert_eq!(find.matches(&thing(1, Some("a"), 5)), want, "{find:?}");
    }
}

#[test]
fn record_query_order_is_total() {
    let mut find = RecordQuery {
        table: &TABLE,
        conditions: vec![],
        order_by: "at",
        descending: true,
        after: None,
        limit: 10,
    };
    let mut things = [thing(2, None, 1), thing(1, None, 1), thing(3, None, 9)];
    things.sort_by(|left, right| find.compare(left, right));
    assert_eq!(things.each_ref().map(|thing| thing.key[0].clone()), [3, 1, 2].map(Cell::Integer));
    find.descending = false;
    things.sort_by(|left, right| find.compare(left, right));
    assert_eq!(things.each_ref().map(|thing| thing.key[0].clone()), [1, 2, 3].map(Cell::Integer));
}
