// Does what an agent does through the types that openapi-typescript generated: every request, answer and event is typed.

import createClient from "openapi-fetch";
import type { components, paths } from "./openapi";

type Event = components["schemas"]["Event"];

declare const process: { argv: string[] };
const [url, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { "x-api-key": token } });
let number = 0;

/** An idempotency key. */
const key = () => ({ header: { "Idempotency-Key": `typescript-${number++}` } });

function assert(holds: boolean, what: unknown): asserts holds {
    if (!holds) throw new Error(`this does not hold: ${JSON.stringify(what)}`);
}

/** The data of an answer, which must be a success. */
async function success<T>(answer: Promise<{ data?: { data: T }; error?: components["schemas"]["ErrorResponse"] }>): Promise<T> {
    const { data, error } = await answer;
    assert(data !== undefined, error);
    return data.data;
}

async function main(): Promise<void> {
    const entered = await success(client.POST("/v1/commands/enter", { params: key(), body: { actorId: "Nova" } }));
    assert(entered.eventType === "agent_entered" && entered.presence !== null, entered);

    const body = { actorId: "Nova", text: "hey @Kai", mentions: ["Kai"] };
    const message = await success(client.POST("/v1/commands/say", { params: key(), body }));
    const inbox = await success(client.GET("/v1/inbox", { params: { query: { actorId: "Kai" } } }));
    assert(inbox.items[0].sourceEventType === "mention_created", inbox);

    const { task } = await success(client.POST("/v1/tasks", { params: key(), body: { actorId: "Nova", title: "Sweep" } }));
    assert(task.state === "open", task);

    const hook = { targetUrl: "http://127.0.0.1:9/hook", eventTypes: ["task_created"] };
    const { subscription } = await success(client.POST("/v1/subscriptions", { params: key(), body: hook }));
    assert(subscription.eventTypes?.[0] === "task_created", subscription);

    const rule = {
        targetActorId: "Kai",
        actionType: "order" as const,
        actionPayload: { itemId: "tea" },
        triggerEventTypes: ["order_changed"],
    };
    const reaction = await success(client.POST("/v1/reactions/subscriptions", { params: key(), body: rule }));
    await success(client.POST("/v1/commands/order", { params: key(), body: { actorId: "Nova", itemId: "espresso" } }));

    /** What of the wanted events this one is. */
    function found(event: Event): string | undefined {
        switch (event.type) {
            case "conversation_message_posted":
                return event.payload.conversation.text === "hey @Kai" && event.sequence === message.sequence ? "message" : undefined;
            case "task_created":
                return event.payload.taskId === task.taskId ? "task" : undefined;
            case "order_changed":
                return event.payload.reaction?.sourceSubscriptionId === reaction.subscription.id ? "reaction" : undefined;
        }
    }

    const wanted = new Set(["message", "task", "reaction"]);
    for (let cursor = 0; wanted.size > 0; ) {
        const page = await success(client.GET("/v1/events/poll", { params: { query: { roomId: "main", cursor } } }));
        cursor = page.nextCursor;
        for (const event of page.events) wanted.delete(found(event) ?? "");
    }

    const refused = await client.POST("/v1/commands/say", { params: key(), body: { actorId: "Nova", text: " " } });
    assert(refused.error?.error.code === "ERR_MISSING_FIELD", refused.error);
    console.log("all of it works");
}

void main();
