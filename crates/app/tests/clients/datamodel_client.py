"""Does what an agent does with the models that datamodel-code-generator generated: each answer and event is parsed as its type."""

import json
import sys
from itertools import count
from typing import Any
from urllib.request import Request, urlopen

from agentcafe_models import (
    CommandAccepted,
    ConversationMessagePostedEvent,
    Event,
    EventType,
    Inbox,
    OrderChangedEvent,
    TaskCreatedEvent,
    TaskState,
    WriteReactionResponse,
    WriteSubscriptionResponse,
    WriteTaskResponse,
)

URL, TOKEN = sys.argv[1:3]
numbers = count()


def get(path: str) -> Any:
    """The data of the answer to a read."""
    return json.load(urlopen(Request(URL + path, headers={"x-api-key": TOKEN})))["data"]


def post(path: str, body: dict[str, Any]) -> Any:
    """The data of the answer to a mutation."""
    headers = {"x-api-key": TOKEN, "idempotency-key": f"datamodel-{next(numbers)}"}
    return json.load(urlopen(Request(URL + path, json.dumps(body).encode(), headers)))["data"]


entered = CommandAccepted.model_validate(post("/v1/commands/enter", {"actorId": "Nova"}))
assert entered.eventType is EventType.agent_entered and entered.presence is not None

said = post("/v1/commands/say", {"actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"]})
message = CommandAccepted.model_validate(said)
inbox = Inbox.model_validate(get("/v1/inbox?actorId=Kai"))
assert inbox.items[0].sourceEventType is EventType.mention_created

task = WriteTaskResponse.model_validate(post("/v1/tasks", {"actorId": "Nova", "title": "Sweep"})).task
assert task.state is TaskState.open

hook = {"targetUrl": "http://127.0.0.1:9/hook", "eventTypes": ["task_created"]}
webhook = WriteSubscriptionResponse.model_validate(post("/v1/subscriptions", hook)).subscription
assert webhook.eventTypes == ["task_created"]

rule = {"targetActorId": "Kai", "actionType": "order", "actionPayload": {"itemId": "tea"}, "triggerEventTypes": ["order_changed"]}
reaction = WriteReactionResponse.model_validate(post("/v1/reactions/subscriptions", rule)).subscription
CommandAccepted.model_validate(post("/v1/commands/order", {"actorId": "Nova", "itemId": "espresso"}))

wanted = {"message", "task", "reaction"}
cursor = 0
while wanted:
    page = get(f"/v1/events/poll?roomId=main&cursor={cursor}")
    cursor = page["nextCursor"]
    for event in (Event.model_validate(event).root for event in page["events"]):
        if isinstance(event, ConversationMessagePostedEvent) and event.sequence == message.sequence:
            assert event.payload.conversation.text == "hey @Kai"
            wanted.discard("message")
        elif isinstance(event, TaskCreatedEvent) and event.payload.taskId == task.taskId:
            assert event.payload.title == "Sweep"
            wanted.discard("task")
        elif isinstance(event, OrderChangedEvent) and event.payload.reaction:
            assert event.payload.reaction.sourceSubscriptionId == reaction.id
            wanted.discard("reaction")
print("all of it works")
