//! Who may work in a room, whatever the work is.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Editor, Feature};
use crate::kernel::{ActorInRoom, Code, Command, DomainError, Timestamp, Usd};
use crate::objects::SharedObject;
use crate::objects::change::UpdateSharedObject;
use crate::objects::create::CreateSharedObject;
use crate::permissions::RoomOverride;
use crate::presence::Presence;
use crate::rooms::{Room, RoomType};
use crate::scene::{Scene, body};
use crate::tables::{SessionStatus, TableSession};
use crate::tasks::Task;
use crate::tasks::change::UpdateTask;
use crate::tasks::create::CreateTask;
use crate::tasks::handoff::HandOffTask;

/// A scene with a task and an object in it, before the room is made private or paused.
struct Cafe {
    scene: Scene,
    task: Task,
    object: SharedObject,
}

impl Cafe {
    fn new() -> Self {
        let mut scene = Scene::new();
        let made = CreateTask::read(&body(&json!({"actorId": "Nova", "title": "Sweep"}))).unwrap();
        let task = scene.decide(&made).unwrap().1["task"].take();
        let made = CreateSharedObject::read(&body(&json!({"actorId": "Nova"}))).unwrap();
        let object = scene.decide(&made).unwrap().1["object"].take();
        Self {
            scene,
            task: serde_json::from_value(task).unwrap(),
            object: serde_json::from_value(object).unwrap(),
        }
    }

    /// Each kind of work by this actor: its label, its feature, and how it ends; with a body that is right or wrong.
    fn works(
        &mut self,
        actor: &str,
        is_right: bool,
    ) -> Vec<(&'static str, &'static str, Result<Value, DomainError>)> {
        let title = if is_right { json!("Mop") } else { json!(7) };
        let action = if is_right { "blocked" } else { "shout" };
        let fields = body(&json!({"actorId": actor, "title": title, "action": action, "note": "No broom."}));
        let changer = || Editor::read(&fields, &fields).unwrap();
        let (task, object) = (self.task.clone(), self.object.clone());
        let commands: [(_, _, Box<dyn Command>); 5] = [
            ("task_create", "task_board", Box::new(CreateTask::read(&fields).unwrap())),
            ("task_update", "task_board", Box::new(UpdateTask::read(&fields, changer(), task.clone()))),
            ("task_update", "task_board", Box::new(HandOffTask::read(&fields, changer(), task))),
            ("object_create", "shared_objects", Box::new(CreateSharedObject::read(&fields).unwrap())),
            (
                "object_update",
                "shared_objects",
                Box::new(UpdateSharedObject::read(&fields, changer(), object)),
            ),
        ];
        let decided = commands.into_iter().map(|(action, feature, command)| {
            let decided = self.scene.decide(command.as_ref()).map(|(_, data)| data);
            (action, feature, decided)
        });
        decided.collect()
    }

    fn make_private(&mut self) {
        let who = ActorInRoom::named("default", "main", "Nova");
        let room = Room::without_record(who.tenant_id, who.room_id);
        self.scene.put(&Room { room_type: RoomType::PrivateTable, ..room });
    }

    fn open_session(&mut self, features: &[&str], invited: &[&str], expires_at: i64) {
        let who = ActorInRoom::named("default", "main", "Nova");
        let at = Timestamp::from_millis(0);
        self.scene.put(&TableSession {
            session_id: Uuid::nil(),
            tenant_id: who.tenant_id,
            room_id: who.room_id,
            owner_actor_id: who.actor_id,
            plan_id: "espresso".to_owned(),
            max_agents: 1,
            features: features.iter().map(|name| (*name).to_owned()).collect(),
            invited_actor_ids: invited
                .iter()
                .map(|name| ActorInRoom::named("default", "main", name).actor_id)
                .collect(),
            status: SessionStatus::Active,
            started_at: at,
            expires_at: Timestamp::from_millis(expires_at),
            ended_at: None,
            payment_ref: None,
            payment_amount_usd: Usd::from_cents(0),
            payment_provider: "off".to_owned(),
            metadata: Map::new(),
            created_at: at,
            updated_at: at,
        });
    }

    fn pause(&mut self) {
        let who = ActorInRoom::named("default", "main", "Op");
        let at = Timestamp::from_millis(0);
        self.scene.put(&RoomOverride {
            tenant_id: who.tenant_id,
            room_id: who.room_id,
            room_paused: true,
            paused_by: Some(who.actor_id),
            pause_reason: None,
            paused_at: Some(at),
            resumed_at: None,
            muted_actors: Default::default(),
            metadata: Map::new(),
            created_at: at,
            updated_at: at,
        });
    }
}

const FAR: i64 = 2_000_000;

/// Work at a private table needs its session, a place at it, and the feature of that work; no seat.
#[test]
fn work_at_a_private_table_passes_its_gate() {
    let all = [Feature::TaskBoard.as_str(), Feature::SharedObjects.as_str()];
    let cases: [(Option<(&[&str], i64)>, &str, Option<Code>); 6] = [
        (None, "Nova", Some(Code::PaymentRequired)),
        (Some((&all, 1)), "Nova", Some(Code::Forbidden)),
        (Some((&all, FAR)), "Zoe", Some(Code::Forbidden)),
        (Some((&["basic_thread_chat"], FAR)), "Nova", Some(Code::PlanFeatureDisabled)),
        (Some((&all, FAR)), "Kai", None),
        (Some((&all, FAR)), "Nova", None),
    ];
    for (session, actor, want) in cases {
        let mut cafe = Cafe::new();
        cafe.make_private();
        if let Some((features, expires_at)) = session {
            cafe.open_session(features, &["Kai", "Bo"], expires_at);
        }
        for (action, feature, decided) in cafe.works(actor, want.is_none()) {
            let error = decided.err();
            assert_eq!(error.as_ref().map(|error| error.code), want, "{action} {actor} {session:?}");
            let Some(error) = error else { continue };
            assert_eq!(error.details["action"], action);
            if error.code == Code::PlanFeatureDisabled {
                assert_eq!(error.details["requiredFeature"], feature);
            }
        }
        assert!(cafe.scene.all::<Presence>().is_empty(), "working takes no seat");
    }
}

/// Each kind of work needs its own feature only.
#[test]
fn each_work_has_its_own_feature() {
    for owned in [Feature::TaskBoard, Feature::SharedObjects] {
        let mut cafe = Cafe::new();
        cafe.make_private();
        cafe.open_session(&[owned.as_str()], &[], FAR);
        for (action, feature, decided) in cafe.works("Nova", true) {
            assert_eq!(decided.is_ok(), feature == owned.as_str(), "{action} with {}", owned.as_str());
        }
    }
}

/// The gate speaks before a pause, a pause before what is wrong with the body.
#[test]
fn a_paused_room_blocks_work_behind_the_gate_and_before_the_body() {
    let mut cafe = Cafe::new();
    for (action, _, decided) in cafe.works("Nova", false) {
        let code = decided.map_err(|error| error.code);
        assert!(
            matches!(code, Ok(_) | Err(Code::MissingField | Code::InvalidEnum | Code::Validation)),
            "{action}"
        );
    }
    cafe.pause();
    for is_right in [true, false] {
        for (action, _, decided) in cafe.works("Nova", is_right) {
            let error = decided.unwrap_err();
            assert_eq!(
                (error.code, &error.details["action"]),
                (Code::OperatorOverrideBlocked, &json!(action))
            );
            assert_eq!(error.details["reasonCode"], "ROOM_PAUSED");
        }
    }
    cafe.make_private();
    for (action, _, decided) in cafe.works("Nova", false) {
        assert_eq!(decided.unwrap_err().code, Code::PaymentRequired, "{action}");
    }
}
