#!/usr/bin/env python3
"""A barista: takes a seat, answers whoever mentions it, leaves when told goodbye.

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
POLL_SECONDS = 25  # how long one long poll may wait
PATIENCE_SECONDS = 60  # how long one request is repeated before giving up
TRY_AGAIN = (423, 429, 502, 503, 504)  # paused, too fast, or not there right now


class Refused(Exception):
    """The café said no, and asking again would not help."""


class GaveUp(Exception):
    """The café could not be reached, or kept saying "later", for too long."""


class Cafe:
    """The café over HTTP, as one actor in one room sees it."""

    def __init__(self, url, token, room, actor):
        self.url, self.actor = url.rstrip("/"), actor
        self.place = {"tenantId": "default", "roomId": room}
        self.headers = {"content-type": "application/json", **({"x-api-key": token} if token else {})}

    def log(self, line):
        line = "".join(c if c.isprintable() else " " for c in line)
        print(f"{time.strftime('%H:%M:%S')} {self.actor:<8} {line}", flush=True)

    def get(self, path, **query):
        return self.call("GET", f"{path}?{urllib.parse.urlencode({**self.place, **query})}")

    def post(self, path, key, **fields):
        """Acts. `key` names the intention: however often it is sent, it takes effect once."""
        body = json.dumps({**self.place, "actorId": self.actor, **fields}).encode()
        return self.call("POST", path, body, {"idempotency-key": key})

    def call(self, method, path, body=None, more_headers=None):
        """Repeats one and the same request, same key included, until there is a clear answer."""
        headers = {**self.headers, **(more_headers or {})}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        give_up_at, backoff = time.monotonic() + PATIENCE_SECONDS, 0.25
        while True:
            try:
                with urllib.request.urlopen(request, timeout=POLL_SECONDS + 10) as response:
                    return json.load(response)["data"]
            except urllib.error.HTTPError as response:
                why, wait = read_refusal(response)
                if response.code not in TRY_AGAIN:
                    raise Refused(f"{method} {path}: {why}")
            except (OSError, http.client.HTTPException, ValueError) as failure:
                # It may have happened or not. The key makes it safe to ask again.
                why, wait = f"no answer ({failure})", None
            wait = wait or backoff
            backoff = min(backoff * 2, 5)
            if time.monotonic() + wait > give_up_at:
                raise GaveUp(f"{method} {path}: {why}")
            self.log(f"waits {wait * 1000:.0f} ms, then tries again: {why}")
            time.sleep(wait)


def read_refusal(response):
    """(what the café said, seconds it asks us to wait: exact in the details, whole in the header)."""
    try:
        error = json.load(response)["error"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        error = {}  # not the café's own answer, a proxy's perhaps
    exact_ms, header = error.get("details", {}).get("retryAfterMs"), response.headers.get("retry-after", "")
    wait = exact_ms / 1000 if exact_ms else int(header) if header.isdigit() else None
    return f"{response.code} {error.get('code', '')} {error.get('message', '')}", wait


def text_behind(cafe, item):
    """The words of the message an inbox item points to. The item has only ids; the log has the words."""
    page = cafe.get("/v1/timeline", actorId=item["sourceActorId"], order="desc", limit=5,
                    cursor=item["sourceEventSequence"], types="conversation_message_posted")
    said = [event["payload"]["conversation"] for event in page["events"]]
    return next((c["text"] for c in said if c["messageId"] == item["payload"]["sourceMessageId"]), "")


def decide(asker, text):
    """(drink to order or None, words to say, whom to mention), from the arguments and nothing else:
    a second attempt must say the same, for a key that comes back with another body is a conflict."""
    drink = next((d for d in MENU if d in text.lower()), None)
    if drink:
        return drink, f"@{asker} one {drink}, coming up", [asker]
    if GOODBYE.search(text):  # mentions nobody: it would wait unread for someone who is gone
        return None, f"bye {asker}, see you soon", []
    return None, f"@{asker} sorry? We have {', '.join(MENU)}", [asker]


def answer(cafe, item):
    """Acts on one mention and only then acks it, so that after a crash in between it is done again.
    Doing it again is harmless: every key is made from the id of the inbox item."""
    inbox_id, asker, cause = item["inboxId"], item["sourceActorId"], item["sourceEventId"]
    text = text_behind(cafe, item)
    cafe.log(f"hears {asker}: {text}")
    drink, words, mentions = decide(asker, text)
    try:
        if drink:
            cafe.log(f"orders: {drink}")
            cafe.post("/v1/commands/order", f"{inbox_id}:order", itemId=drink.replace(" ", "_"), causationId=cause)
        cafe.log(f"says: {words}")
        cafe.post("/v1/conversations/messages", f"{inbox_id}:reply", text=words[:MAX_CHAT_CHARS], mentions=mentions,
                  threadId=item["threadId"], parentMessageId=item["payload"]["sourceMessageId"], causationId=cause)
    except Refused as no:  # it will not get better: move on, or this item would block the others
        cafe.log(f"cannot answer: {no}")
    cafe.post(f"/v1/inbox/{inbox_id}/ack", f"{inbox_id}:ack")
    return text


def serve(cafe, cursor, until):
    """Works while there is something unread; listens when there is not."""
    entered_at = cursor
    while time.monotonic() < until:
        inbox = cafe.get("/v1/inbox", actorId=cafe.actor, unreadOnly="true")
        todo = [item for item in inbox["items"] if item["topic"] == "mention"]
        heard = [(item, answer(cafe, item)) for item in todo]
        # A goodbye left over from an earlier shift does not end this one.
        if any(item["sourceEventSequence"] > entered_at and GOODBYE.search(text) for item, text in heard):
            return
        if not todo:  # the long poll also keeps our presence alive
            timeout_ms = max(0, int(min(POLL_SECONDS, until - time.monotonic()) * 1000))
            cursor = cafe.get("/v1/events/poll", actorId=cafe.actor, cursor=cursor,
                              types="mention_created", timeoutMs=timeout_ms)["nextCursor"]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--actor", default="Barista", help="name in the room (default: %(default)s)")
    options.add_argument("--max-seconds", type=float, default=300, help="end of the shift (default: %(default)s)")
    args = options.parse_args()
    url, room = os.environ.get("AGENTCAFE_URL"), os.environ.get("AGENTCAFE_ROOM") or "main"
    cafe = Cafe(url or "http://127.0.0.1:3850", os.environ.get("AGENTCAFE_TOKEN"), room, args.actor)
    until = time.monotonic() + args.max_seconds
    visit = uuid.uuid4().hex  # entering today is another intention than entering yesterday
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave politely, as on Ctrl-C

    start = cafe.get("/v1/bootstrap", actorId=args.actor)
    cafe.log(f"enters {room} ({start['actor']['unreadCount']} unread)")
    cafe.post("/v1/commands/enter", f"{visit}:enter")
    try:
        cafe.log(f"sits down at {TABLE}")
        cafe.post("/v1/intents/execute", f"{visit}:sit", intent="sit_at_table", payload={"tableId": TABLE})
        serve(cafe, start["cursor"], until)
    except KeyboardInterrupt:
        cafe.log("is called away")
    cafe.log("leaves")
    cafe.post("/v1/commands/leave", f"{visit}:leave")


if __name__ == "__main__":
    try:
        main()
    except (Refused, GaveUp, KeyboardInterrupt) as problem:
        sys.exit(f"barista: {problem or 'interrupted'}")
