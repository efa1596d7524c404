"""Does what an agent does through the client that openapi-python-client generated: every request, answer and event is typed."""

import sys
from itertools import count
from typing import TypeVar

from agentcafe_client import AuthenticatedClient
from agentcafe_client.api.commands import enter_room, place_order, say_in_room
from agentcafe_client.api.events import poll_events
from agentcafe_client.api.inbox import list_inbox
from agentcafe_client.api.reactions import create_reaction
from agentcafe_client.api.tasks import create_task
from agentcafe_client.api.webhooks import create_subscription
from agentcafe_client.models import (
    ApiError,
    ConversationMessagePostedEvent,
    CreateReactionBody,
    CreateReactionBodyActionPayloadType0,
    CreateReactionBodyActionType,
    CreateSubscriptionBody,
    CreateTaskBody,
    EnterRoomBody,
    ErrorResponse,
    EventType,
    OrderChangedEvent,
    PlaceOrderBody,
    ReactionRef,
    SayInRoomBody,
    TaskCreatedEvent,
    TaskState,
)

Answer = TypeVar("Answer")
numbers = count()


def key() -> str:
    """An idempotency key."""
    return f"python-{next(numbers)}"


def success(answer: Answer | ErrorResponse | None) -> Answer:
    """The answer to a request that succeeded."""
    assert answer is not None and not isinstance(answer, ErrorResponse), answer
    return answer


def main(url: str, token: str) -> None:
    client = AuthenticatedClient(base_url=url, token=token)
    entered = success(enter_room.sync(client=client, body=EnterRoomBody(actor_id="Nova"), idempotency_key=key())).data
    assert entered.event_type is EventType.AGENT_ENTERED and entered.presence is not None

    said = SayInRoomBody(actor_id="Nova", text="hey @Kai", mentions=["Kai"])
    message = success(say_in_room.sync(client=client, body=said, idempotency_key=key())).data
    item = success(list_inbox.sync(client=client, actor_id="Kai")).data.items[0]
    assert item.source_event_type is EventType.MENTION_CREATED and item.source_actor_id == "Nova"

    task = success(create_task.sync(client=client, body=CreateTaskBody(actor_id="Nova", title="Sweep"), idempotency_key=key()))
    assert task.data.task.state is TaskState.OPEN

    hook = CreateSubscriptionBody(target_url="http://127.0.0.1:9/hook", event_types=["task_created"])
    webhook = success(create_subscription.sync(client=client, body=hook, idempotency_key=key())).data
    assert webhook.subscription.event_types == ["task_created"]

    payload = CreateReactionBodyActionPayloadType0.from_dict({"itemId": "tea"})
    rule = CreateReactionBody(
        target_actor_id="Kai",
        action_type=CreateReactionBodyActionType.ORDER,
        action_payload=payload,
        trigger_event_types=["order_changed"],
    )
    reaction = success(create_reaction.sync(client=client, body=rule, idempotency_key=key())).data.subscription
    success(place_order.sync(client=client, body=PlaceOrderBody(actor_id="Nova", item_id="espresso"), idempotency_key=key()))

    wanted = {"message", "task", "reaction"}
    cursor = 0
    while wanted:
        page = success(poll_events.sync(client=client, room_id="main", cursor=cursor)).data
        cursor = page.next_cursor
        for event in page.events:
            if isinstance(event, ConversationMessagePostedEvent) and event.sequence == message.sequence:
                assert event.payload.conversation.text == "hey @Kai" and event.payload.conversation.mentions == ["Kai"]
                wanted.discard("message")
            elif isinstance(event, TaskCreatedEvent) and event.payload.task_id == task.data.task.task_id:
                assert event.payload.title == "Sweep"
                wanted.discard("task")
            elif isinstance(event, OrderChangedEvent) and isinstance(event.payload.reaction, ReactionRef):
                assert event.payload.reaction.source_subscription_id == reaction.id and event.payload.item_id == "tea"
                wanted.discard("reaction")

    refused = say_in_room.sync(client=client, body=SayInRoomBody(actor_id="Nova", text=" "), idempotency_key=key())
    assert isinstance(refused, ErrorResponse) and isinstance(refused.error, ApiError)
    assert refused.error.code == "ERR_MISSING_FIELD", refused.error
    print("all of it works")


main(sys.argv[1], sys.argv[2])
