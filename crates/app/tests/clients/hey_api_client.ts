// Does what an agent does through the functions that @hey-api/openapi-ts generated: every request, answer and event is typed.

import * as cafe from "./hey";
import { client } from "./hey/client.gen";

declare const process: { argv: string[] };
const [baseUrl, token] = process.argv.slice(2);
client.setConfig({ baseUrl, headers: { "x-api-key": token } });
let number = 0;

/** What every request has that changes something. */
const once = () => ({ headers: { "Idempotency-Key": `hey-api-${number++}` }, throwOnError: true as const });

function assert(holds: boolean, what: unknown): asserts holds {
    if (!holds) throw new Error(`this does not hold: ${JSON.stringify(what)}`);
}

async function main(): Promise<void> {
    const entered = (await cafe.enterRoom({ ...once(), body: { actorId: "Nova" } })).data.data;
    assert(entered.eventType === "agent_entered" && entered.presence !== null, entered);

    const body = { actorId: "Nova", text: "hey @Kai", mentions: ["Kai"] };
    const message = (await cafe.sayInRoom({ ...once(), body })).data.data;
    const inbox = (await cafe.listInbox({ query: { actorId: "Kai" }, throwOnError: true })).data.data;
    assert(inbox.items[0].sourceEventType === "mention_created", inbox);

    const { task } = (await cafe.createTask({ ...once(), body: { actorId: "Nova", title: "Sweep" } })).data.data;
    assert(task.state === "open", task);

    const hook = { targetUrl: "http://127.0.0.1:9/hook", eventTypes: ["task_created"] };
    const { subscription } = (await cafe.createSubscription({ ...once(), body: hook })).data.data;
    assert(subscription.eventTypes?.[0] === "task_created", subscription);

    const rule = {
        targetActorId: "Kai",
        actionType: "order" as const,
        actionPayload: { itemId: "tea" },
        triggerEventTypes: ["order_changed"],
    };
    const reaction = (await cafe.createReaction({ ...once(), body: rule })).data.data.subscription;
    await cafe.placeOrder({ ...once(), body: { actorId: "Nova", itemId: "espresso" } });

    /** What of the wanted events this one is. */
    function found(event: cafe.Event): string | undefined {
        switch (event.type) {
            case "conversation_message_posted":
                return event.payload.conversation.text === "hey @Kai" && event.sequence === message.sequence ? "message" : undefined;
            case "task_created":
                return event.payload.taskId === task.taskId ? "task" : undefined;
            case "order_changed":
                return event.payload.reaction?.sourceSubscriptionId === reaction.id ? "reaction" : undefined;
        }
    }

    const wanted = new Set(["message", "task", "reaction"]);
    for (let cursor = 0; wanted.size > 0; ) {
        const page = (await cafe.pollEvents({ query: { roomId: "main", cursor }, throwOnError: true })).data.data;
        cursor = page.nextCursor;
        for (const event of page.events) wanted.delete(found(event) ?? "");
    }

    const refused = await cafe.sayInRoom({ ...once(), throwOnError: false, body: { actorId: "Nova", text: " " } });
    assert(refused.error?.error.code === "ERR_MISSING_FIELD", refused.error);
    console.log("all of it works");
}

void main();
