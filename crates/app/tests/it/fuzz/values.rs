//! The values that the fuzz tests put into fields.

use agentcafe_testkit::{Value, json};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("deep"), |inner, _| json!([inner]))
}

/// Texts with a special meaning in some language or format.
const ODD_TEXTS: [&str; 38] = [
    "",
    " ",
    "\t\n",
    "a\u{0}b",
    "a\u{7}b",
    "\u{feff}",
    "\u{202e}x",
    "e\u{301}",
    "😀",
    "12",
    "-5",
    " 7 ",
    "1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x10",
    "1_000",
    "null",
    "true",
    "latest",
    "constructor",
    "__proto__",
    "a:b:c",
    "a/b?c#d&e=f",
    "%00%ff",
    "'; DROP TABLE events; --",
    "$ne",
    "../../etc/passwd",
    "<script>",
    "\\",
    "\"",
    "9999-12-31T23:59:59.999Z",
    "-009999-01-01T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "0190b5a0-0000-7000-8000-000000000000",
    "[]",
    "{}",
];

/// Values of wrong types, and values at limits.
pub(super) fn odd_values() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(-0.0),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([]),
        json!([[]]),
        json!([null]),
        json!([1, "a", {}]),
        json!({}),
        json!({"a": {"b": []}}),
        json!({"": ""}),
        json!({"x": 1e308, "y": -1e308}),
        nested(50),
        nested(70),
        json!(vec!["x"; 2_000]),
        json!((0..200).map(|n| format!("a{n}")).collect::<Vec<_>>()),
    ];
    let long = ["x".repeat(129), "ü".repeat(5_000), "😀".repeat(50_000)];
    values.extend(ODD_TEXTS.iter().map(|text| json!(text)));
    values.extend(long.iter().map(|text| json!(text)));
    values
}
