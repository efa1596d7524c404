//! Access of every kind of work: private tables, features of their plans, paused rooms.

use agentcafe_domain::kernel::{Code, Command, DomainError, Timestamp};
use agentcafe_domain::objects::SharedObject;
use agentcafe_domain::objects::change::UpdateSharedObject;
use agentcafe_domain::objects::create::CreateSharedObject;
use agentcafe_domain::permissions::RoomOverride;
use agentcafe_domain::presence::Presence;
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::tables::TableSession;
use agentcafe_domain::tables::plan::Feature;
use agentcafe_domain::tasks::Task;
use agentcafe_domain::tasks::change::UpdateTask;
use agentcafe_domain::tasks::create::CreateTask;
use agentcafe_domain::tasks::handoff::HandOffTask;
use agentcafe_domain::work::Editor;
use serde_json::{Value, json};

use crate::harness::{Harness, actor, body, id};
use crate::tables::session;

/// A room with a task and an object, before it is made private or paused.
struct Workplace {
    harness: Harness,
    task: Task,
    object: SharedObject,
}

impl Workplace {
    fn new() -> Self {
        let mut harness = Harness::new();
        let command = CreateTask::read(&body(&json!({"actorId": "Nova", "title": "Sweep"}))).unwrap();
        let task = harness.decide(&command).unwrap().1["task"].take();
        let command = CreateSharedObject::read(&body(&json!({"actorId": "Nova"}))).unwrap();
        let object = harness.decide(&command).unwrap().1["object"].take();
        Self {
            harness,
            task: serde_json::from_value(task).unwrap(),
            object: serde_json::from_value(object).unwrap(),
        }
    }

    /// Each kind of work by this actor, with a valid or an invalid body: its label, its feature, and its result.
    fn works(
        &mut self,
        actor: &str,
        is_valid: bool,
    ) -> Vec<(&'static str, &'static str, Result<Value, DomainError>)> {
        let title = if is_valid { json!("Mop") } else { json!(7) };
        let action = if is_valid { "blocked" } else { "shout" };
        let fields = body(&json!({"actorId": actor, "title": title, "action": action, "note": "No broom."}));
        let editor = || Editor::read(&fields, &fields).unwrap();
        let (task, object) = (self.task.clone(), self.object.clone());
        let commands: [(_, _, Box<dyn Command>); 5] = [
            ("task_create", "task_board", Box::new(CreateTask::read(&fields).unwrap())),
            ("task_update", "task_board", Box::new(UpdateTask::read(&fields, editor(), task.clone()))),
            ("task_update", "task_board", Box::new(HandOffTask::read(&fields, editor(), task))),
            ("object_create", "shared_objects", Box::new(CreateSharedObject::read(&fields).unwrap())),
            (
                "object_update",
                "shared_objects",
                Box::new(UpdateSharedObject::read(&fields, editor(), object)),
            ),
        ];
        let decided = commands.into_iter().map(|(action, feature, command)| {
            let decided = self.harness.decide(command.as_ref()).map(|(_, data)| data);
            (action, feature, decided)
        });
        decided.collect()
    }

    fn make_private(&mut self) {
        let nova = actor("Nova");
        let room = Room::without_record(nova.tenant_id, nova.room_id);
        self.harness.put(&Room { room_type: RoomType::PrivateTable, ..room });
    }

    fn open_session(&mut self, features: &[&str], invited: &[&str], expires_at: i64) {
        self.harness.put(&TableSession {
            max_agents: 1,
            invited_actor_ids: invited.iter().map(|name| id(name)).collect(),
            expires_at: Timestamp::from_millis(expires_at),
            ..session(features)
        });
    }

    fn pause(&mut self) {
        let op = actor("Op");
        let none = RoomOverride::none(op.tenant_id, op.room_id, Timestamp::from_millis(0));
        self.harness.put(&RoomOverride { room_paused: true, paused_by: Some(op.actor_id), ..none });
    }
}

const LATER: i64 = 2_000_000;

/// Work at a private table needs its session, an invitation, and the feature of that work, but no seat.
#[test]
fn work_at_a_private_table_needs_a_session_and_its_feature() {
    let all = [Feature::TaskBoard.as_str(), Feature::SharedObjects.as_str()];
    let cases: [(Option<(&[&str], i64)>, &str, Option<Code>); 6] = [
        (None, "Nova", Some(Code::PaymentRequired)),
        (Some((&all, 1)), "Nova", Some(Code::Forbidden)),
        (Some((&all, LATER)), "Zoe", Some(Code::Forbidden)),
        (Some((&["basic_thread_chat"], LATER)), "Nova", Some(Code::PlanFeatureDisabled)),
        (Some((&all, LATER)), "Kai", None),
        (Some((&all, LATER)), "Nova", None),
    ];
    for (session, actor, want) in cases {
        let mut workplace = Workplace::new();
        workplace.make_private();
        if let Some((features, expires_at)) = session {
            workplace.open_session(features, &["Kai", "Bo"], expires_at);
        }
        for (action, feature, decided) in workplace.works(actor, want.is_none()) {
            let error = decided.err();
            assert_eq!(error.as_ref().map(|error| error.code), want, "{action} {actor} {session:?}");
            let Some(error) = error else { continue };
            assert_eq!(error.details["action"], action);
            if error.code == Code::PlanFeatureDisabled {
                assert_eq!(error.details["requiredFeature"], feature);
            }
        }
        assert!(workplace.harness.all::<Presence>().is_empty(), "work takes no seat");
    }
}

/// Each kind of work needs its own feature only.
#[test]
fn work_needs_its_own_feature_only() {
    for owned in [Feature::TaskBoard, Feature::SharedObjects] {
        let mut workplace = Workplace::new();
        workplace.make_private();
        workplace.open_session(&[owned.as_str()], &[], LATER);
        for (action, feature, decided) in workplace.works("Nova", true) {
            assert_eq!(decided.is_ok(), feature == owned.as_str(), "{action} with {}", owned.as_str());
        }
    }
}

/// Access to the table is checked before a pause, a pause before the body.
#[test]
fn work_in_a_paused_room_is_blocked_before_the_body_is_checked() {
    let mut workplace = Workplace::new();
    for (action, _, decided) in workplace.works("Nova", false) {
        let code = decided.map_err(|error| error.code);
        assert!(
            matches!(code, Ok(_) | Err(Code::MissingField | Code::InvalidEnum | Code::Validation)),
            "{action}"
        );
    }
    workplace.pause();
    for is_valid in [true, false] {
        for (action, _, decided) in workplace.works("Nova", is_valid) {
            let error = decided.unwrap_err();
            assert_eq!(
                (error.code, &error.details["action"]),
                (Code::OperatorOverrideBlocked, &json!(action))
            );
            assert_eq!(error.details["reasonCode"], "ROOM_PAUSED");
        }
    }
    workplace.make_private();
    for (action, _, decided) in workplace.works("Nova", false) {
        assert_eq!(decided.unwrap_err().code, Code::PaymentRequired, "{action}");
    }
}
