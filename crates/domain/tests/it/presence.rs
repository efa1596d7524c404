//! Positions, moves and intents.

use agentcafe_domain::kernel::Code;
use agentcafe_domain::presence::movement::ExecuteIntent;
use agentcafe_domain::presence::position::{Direction, MAX_STEPS, MAX_X, MAX_Y, PathSegment, Point, SPAWN};
use serde_json::json;

use crate::harness::{Harness, body};

/// At most two legs, horizontal first; walking them ends at the target.
#[test]
fn path_leads_to_its_target() {
    let cases = [
        (SPAWN, SPAWN, vec![]),
        (SPAWN, Point { x: 2, y: 2 }, vec![(Direction::W, 8), (Direction::N, 4)]),
        (Point { x: 0, y: 0 }, Point { x: 0, y: 11 }, vec![(Direction::S, 11)]),
        (Point { x: 5, y: 5 }, Point { x: 0, y: 5 }, vec![(Direction::W, 5)]),
    ];
    for (from, target, want) in cases {
        let path = from.path_to(target);
        let legs: Vec<_> = path.iter().map(|leg| (leg.direction, leg.steps)).collect();
        assert_eq!(legs, want);
        assert_eq!(path.into_iter().fold(from, Point::after), target);
    }
}

/// Moves end at the edges of the grid, and zero is a valid coordinate.
#[test]
fn move_ends_at_the_edge_of_the_grid() {
    let far = |direction| SPAWN.after(PathSegment { direction, steps: MAX_STEPS });
    assert_eq!(far(Direction::W), Point { x: 0, y: 6 });
    assert_eq!(far(Direction::E), Point { x: MAX_X, y: 6 });
    assert_eq!(far(Direction::N), Point { x: 10, y: 0 });
    assert_eq!(far(Direction::S), Point { x: 10, y: MAX_Y });
}

/// The parameters of intents, their bounds and their errors.
#[test]
fn intent_parameters_are_checked() {
    let cases = [
        ("navigate_to", json!({ "x": 0, "y": 0 }), Ok("(0, 0)")),
        ("navigate_to", json!({ "x": "18.6", "y": 2.4 }), Ok("(19, 2)")),
        ("navigate_to", json!({ "x": 20, "y": 0 }), Err(Code::OutOfBounds)),
        ("navigate_to", json!({ "x": -1, "y": 0 }), Err(Code::OutOfBounds)),
        ("navigate_to", json!({ "x": 1e300, "y": 0 }), Err(Code::OutOfBounds)),
        ("navigate_to", json!({ "x": 1 }), Err(Code::OutOfBounds)),
        ("sit_at_table", json!({ "tableId": "table_7" }), Ok("table_7")),
        ("sit_at_table", json!({ "tableId": "constructor" }), Err(Code::UnknownTable)),
        ("sit_at_table", json!({ "tableId": " table_7" }), Err(Code::UnknownTable)),
        ("sit_at_table", json!({}), Err(Code::MissingField)),
        ("dance", json!({}), Err(Code::UnsupportedAction)),
    ];
    for (intent, mut fields, want) in cases {
        fields["actorId"] = json!("Nova");
        fields["intent"] = json!(intent);
        let decided = Harness::new().decide(&ExecuteIntent::read(&body(&fields)).unwrap());
        let label = decided.map(|(_, data)| data["label"].clone()).map_err(|error| error.code);
        assert_eq!(label, want.map(|label: &str| json!(label)), "{intent} {fields}");
    }
}
