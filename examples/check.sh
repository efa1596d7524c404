#!/usr/bin/env bash
# Runs barista.py and guest.sh against a running server, then checks their conversation in the log. Exits 0, or 1 with
# what is missing.
#
#   AGENTCAFE_URL=http://127.0.0.1:3850 examples/check.sh
#
# Uses a new room unless AGENTCAFE_ROOM is set, and checks later events only.
# shellcheck disable=SC2016  # the $names in single quotes belong to jq
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export AGENTCAFE_URL=${AGENTCAFE_URL:-http://127.0.0.1:3850}
export AGENTCAFE_ROOM=${AGENTCAFE_ROOM:-check-$(date +%s)-$$-$RANDOM}
export AGENTCAFE_TIMEOUT=${AGENTCAFE_TIMEOUT:-60}
export AGENTCAFE_ACTOR=Nova AGENTCAFE_BARISTA=Barista

barista_pid='' guest_pid=''
tmp=$(mktemp -d)
finish() {
  for pid in $barista_pid $guest_pid; do kill "$pid" 2> /dev/null || true; done
  rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() { echo "check: $*" >&2; exit 1; }

# get PATH NAME=VALUE...: prints the `data` of the response.
get() {
  local path=$1 field query=()
  shift
  for field in tenantId=default roomId="$AGENTCAFE_ROOM" "$@"; do query+=(--data-urlencode "$field"); done
  curl -sS --fail --max-time 10 --retry 5 --retry-all-errors -H @"$tmp/headers" -G "${AGENTCAFE_URL%/}$path" "${query[@]}" | jq .data
}

# await NAME PID SECONDS: waits for an agent, and stops it when it takes too long.
await() {
  local name=$1 pid=$2 until=$((SECONDS + $3)) status=0
  while kill -0 "$pid" 2> /dev/null; do
    if ((SECONDS >= until)); then kill "$pid"; fail "$name did not finish within $3 s"; fi
    sleep 0.1
  done
  wait "$pid" || status=$?
  if ((status != 0)); then fail "$name failed with exit status $status"; fi
}

{ if [ -n "${AGENTCAFE_TOKEN:-}" ]; then echo "x-api-key: $AGENTCAFE_TOKEN"; fi; } > "$tmp/headers"
cursor=$(get /v1/bootstrap | jq .cursor) || fail "no server at $AGENTCAFE_URL"

echo "check: room $AGENTCAFE_ROOM at $AGENTCAFE_URL"
"${PYTHON:-python3}" "$here/barista.py" --max-seconds "$((AGENTCAFE_TIMEOUT + 5))" &
barista_pid=$!
bash "$here/guest.sh" &
guest_pid=$!
await guest.sh "$guest_pid" "$((AGENTCAFE_TIMEOUT + 10))"
guest_pid=''
await barista.py "$barista_pid" "$((AGENTCAFE_TIMEOUT + 10))"
barista_pid=''

get /v1/events cursor="$cursor" limit=5000 | jq .events > "$tmp/log.json"
get /v1/inbox actorId=Barista > "$tmp/barista.json"
get /v1/inbox actorId=Nova > "$tmp/nova.json"

# The names in the checks below. Each is exactly one event; none or several are an error.
names='
  def one(f): [.[] | select(f)] | if length == 1 then .[0] else error("expected one, found \(length)") end;
  def did($who; $type): one(.actorId == $who and .type == $type);
  def said($who; $words): one(.actorId == $who and .type == "conversation_message_posted"
    and (.payload.conversation.text | test($words; "i")));
  def mention($who; $message): one(.type == "mention_created" and .payload.mentionedActorId == $who
    and .payload.sourceMessageId == $message.payload.conversation.messageId);
  def ask:      said("Nova"; "flat white please");
  def reply:    said("Barista"; "flat white, coming up");
  def thanks:   said("Nova"; "thank you, bye");
  def farewell: said("Barista"; "^bye Nova");
  def answers($message): .payload.conversation
    | .parentMessageId == $message.payload.conversation.messageId
      and .threadId == $message.payload.conversation.threadId;
'
missing=0
# expect WHAT FILE JQ_CONDITION
expect() {
  if jq -e "$names $3" "$2" > "$tmp/out" 2>&1; then
    echo "check: ok       $1"
  else
    echo "check: MISSING  $1 ($(tail -n 1 "$tmp/out"))" >&2
    missing=$((missing + 1))
  fi
}

log=$tmp/log.json
for who in Barista Nova; do
  expect "$who entered" "$log" "did(\"$who\"; \"agent_entered\") | true"
  expect "$who took a seat" "$log" "did(\"$who\"; \"intent_completed\").payload | .intent == \"sit_at_table\" and .outcome == \"seated\""
  expect "$who left, last of all" "$log" "did(\"$who\"; \"agent_left\").sequence
    > ([.[] | select(.actorId == \"$who\" and .type == \"conversation_message_posted\").sequence] | max)"
done
expect "Nova asked, in a thread of her own" "$log" 'ask.payload.conversation | .threadId == .messageId'
expect "the ask mentioned Barista" "$log" 'mention("Barista"; ask).causationId == ask.eventId'
expect "Barista ordered one flat white" "$log" \
  'did("Barista"; "order_changed") as $order | $order.payload.itemId == "flat_white" and $order.causationId == mention("Barista"; ask).eventId'
expect "Barista replied to the ask in its thread" "$log" 'ask as $ask | reply | answers($ask)'
expect "the reply mentioned Nova back" "$log" 'mention("Nova"; reply).actorId == "Barista"'
expect "Nova said thank you and bye in the same thread" "$log" 'reply as $reply | thanks | answers($reply)'
expect "Barista said bye in the same thread" "$log" 'thanks as $thanks | farewell | answers($thanks)'
expect "the order of events" "$log" \
  '[ask, did("Barista"; "order_changed"), reply, thanks, farewell] | map(.sequence) | . == sort'
expect "Barista acked both mentions" "$tmp/barista.json" '.unreadCount == 0 and (.items | length >= 2 and all(.ackedBy == "Barista"))'
expect "Nova acked the mention back" "$tmp/nova.json" '.unreadCount == 0 and (.items | length >= 1 and all(.ackedBy == "Nova"))'

if ((missing > 0)); then fail "$missing missing; the log from cursor $cursor on is at $AGENTCAFE_URL/v1/events?roomId=$AGENTCAFE_ROOM&cursor=$cursor"; fi
echo "check: the conversation happened"
