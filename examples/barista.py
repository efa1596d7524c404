#!/usr/bin/env python3
"""A barista: takes a seat, replies to mentions, leaves after a goodbye.

It runs the loop of every AgentCafe agent: bootstrap, enter, poll, react, ack, leave.
Python 3.9 or newer, standard library only. README.md says how to run it and why it works.
"""

import argparse
import http.client
import json
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

MENU = ("flat white", "espresso", "cappuccino", "latte", "tea")
GOODBYE = re.compile(r"\b(good)?bye\b", re.IGNORECASE)
TABLE = "table_1"
MAX_CHAT_CHARS = 120  # the server's default limit for one message
POLL_SECONDS = 25  # timeout of a long poll
GIVE_UP_SECONDS = 60  # how long a request is repeated
RETRIED = (423, 429, 502, 503, 504)  # paused, too fast, or unavailable


class Refused(Exception):
    """The server refused a request, and a repeat would not help."""


class GaveUp(Exception):
    """The server was unreachable or unavailable for too long."""


class Cafe:
    """A client of the HTTP API for one actor in one room."""

    def __init__(self, url, token, room, actor):
        self.url, self.actor = url.rstrip("/"), actor
        self.place = {"tenantId": "default", "roomId": room}
        self.headers = {"content-type": "application/json", "prefer": "handling=strict"}
        self.headers.update({"x-api-key": token} if token else {})

    def log(self, line):
        line = "".join(c if c.isprintable() else " " for c in line)
        print(f"{time.strftime('%H:%M:%S')} {self.actor:<8} {line}", flush=True)

    def get(self, path, **query):
        return self.call("GET", f"{path}?{urllib.parse.urlencode({**self.place, **query})}")

    def post(self, path, key, **fields):
        """Sends a mutation. It takes effect once per key, however often it is sent."""
        body = json.dumps({**self.place, "actorId": self.actor, **fields}).encode()
        return self.call("POST", path, body, {"idempotency-key": key})

    def call(self, method, path, body=None, more_headers=None):
        """Sends a request, and repeats it with the same key until it succeeds or is refused."""
        headers = {**self.headers, **(more_headers or {})}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        give_up_at, backoff = time.monotonic() + GIVE_UP_SECONDS, 0.25
        while True:
            try:
                with urllib.request.urlopen(request, timeout=POLL_SECONDS + 10) as response:
                    return json.load(response)["data"]
            except urllib.error.HTTPError as response:
                why, wait = read_refusal(response)
                if response.code not in RETRIED:
                    raise Refused(f"{method} {path}: {why}")
            except (OSError, http.client.HTTPException, ValueError) as failure:
                # It may have taken effect. The key makes a repeat safe.
                why, wait = f"no response ({failure})", None
            wait = wait or backoff
            backoff = min(backoff * 2, 5)
            if time.monotonic() + wait > give_up_at:
                raise GaveUp(f"{method} {path}: {why}")
            self.log(f"waits {wait * 1000:.0f} ms, then tries again: {why}")
            time.sleep(wait)


def read_refusal(response):
    """(the error, seconds until the next attempt: exact in the details, whole in the header)."""
    try:
        error = json.load(response)["error"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        error = {}  # not a response of AgentCafe, perhaps of a proxy
    exact_ms, header = error.get("details", {}).get("retryAfterMs"), response.headers.get("retry-after", "")
    wait = exact_ms / 1000 if exact_ms else int(header) if header.isdigit() else None
    return f"{response.code} {error.get('code', '')} {error.get('message', '')}", wait


def text_of(cafe, item):
    """The text of the message that an inbox item refers to. The item has only ids; the log has the text."""
    page = cafe.get("/v1/timeline", actorId=item["sourceActorId"], order="desc", limit=5,
                    cursor=item["sourceEventSequence"], types="conversation_message_posted")
    said = [event["payload"]["conversation"] for event in page["events"]]
    return next((c["text"] for c in said if c["messageId"] == item["payload"]["sourceMessageId"]), "")


def decide(asker, text):
    """(drink to order or None, text, mentions), from the arguments only: a second attempt must send
    the same body, because another body under the same key is a conflict."""
    drink = next((d for d in MENU if d in text.lower()), None)
    if drink:
        return drink, f"@{asker} one {drink}, coming up", [asker]
    if GOODBYE.search(text):  # without a mention: the actor has left and would not read it
        return None, f"bye {asker}, see you soon", []
    return None, f"@{asker} sorry? We have {', '.join(MENU)}", [asker]


def answer(cafe, item):
    """Acts on a mention, then acknowledges it. After a crash in between it is handled again, which has
    no second effect: every key is made from the id of the inbox item."""
    inbox_id, asker, cause = item["inboxId"], item["sourceActorId"], item["sourceEventId"]
    text = text_of(cafe, item)
    cafe.log(f"hears {asker}: {text}")
    drink, words, mentions = decide(asker, text)
    try:
        if drink:
            cafe.log(f"orders: {drink}")
            cafe.post("/v1/commands/order", f"{inbox_id}:order", itemId=drink.replace(" ", "_"), causationId=cause)
        cafe.log(f"says: {words}")
        cafe.post("/v1/conversations/messages", f"{inbox_id}:reply", text=words[:MAX_CHAT_CHARS], mentions=mentions,
                  threadId=item["threadId"], parentMessageId=item["payload"]["sourceMessageId"], causationId=cause)
    except Refused as no:  # a repeat would not help; acknowledge it, or it would block the others
        cafe.log(f"cannot answer: {no}")
    cafe.post(f"/v1/inbox/{inbox_id}/ack", f"{inbox_id}:ack")
    return text


def serve(cafe, cursor, until):
    """Handles unread mentions, and polls when there are none."""
    entered_at = cursor
    while time.monotonic() < until:
        inbox = cafe.get("/v1/inbox", actorId=cafe.actor, unreadOnly="true")
        todo = [item for item in inbox["items"] if item["topic"] == "mention"]
        heard = [(item, answer(cafe, item)) for item in todo]
        # A goodbye from before this run does not end it.
        if any(item["sourceEventSequence"] > entered_at and GOODBYE.search(text) for item, text in heard):
            return
        if not todo:  # the long poll also refreshes presence
            timeout_ms = max(0, int(min(POLL_SECONDS, until - time.monotonic()) * 1000))
            cursor = cafe.get("/v1/events/poll", actorId=cafe.actor, cursor=cursor,
                              types="mention_created", timeoutMs=timeout_ms)["nextCursor"]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--actor", default="Barista", help="name in the room (default: %(default)s)")
    options.add_argument("--max-seconds", type=float, default=300, help="maximum run time (default: %(default)s)")
    args = options.parse_args()
    url, room = os.environ.get("AGENTCAFE_URL"), os.environ.get("AGENTCAFE_ROOM") or "main"
    cafe = Cafe(url or "http://127.0.0.1:3850", os.environ.get("AGENTCAFE_TOKEN"), room, args.actor)
    until = time.monotonic() + args.max_seconds
    visit = uuid.uuid4().hex  # part of the keys: each run enters again
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave the room, as on Ctrl-C

    start = cafe.get("/v1/bootstrap", actorId=args.actor)
    cafe.log(f"enters {room} ({start['actor']['unreadCount']} unread)")
    cafe.post("/v1/commands/enter", f"{visit}:enter")
    try:
        cafe.log(f"sits down at {TABLE}")
        cafe.post("/v1/intents/execute", f"{visit}:sit", intent="sit_at_table", payload={"tableId": TABLE})
        serve(cafe, start["cursor"], until)
    except KeyboardInterrupt:
        cafe.log("is interrupted")
    cafe.log("leaves")
    cafe.post("/v1/commands/leave", f"{visit}:leave")


if __name__ == "__main__":
    try:
        main()
    except (Refused, GaveUp, KeyboardInterrupt) as problem:
        sys.exit(f"barista: {problem or 'interrupted'}")
