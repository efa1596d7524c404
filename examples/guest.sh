#!/usr/bin/env bash
# A guest: enters, takes a seat, orders a flat white from the barista in a message, reads the reply, thanks, leaves.
#
# The same loop as barista.py (bootstrap, enter, poll, react, ack, leave), with curl and jq only.
# Exits 0 only if the conversation happened. README.md says how to run it and why it works.
set -euo pipefail

url=${AGENTCAFE_URL:-http://127.0.0.1:3850}
url=${url%/}
room=${AGENTCAFE_ROOM:-main}
me=${AGENTCAFE_ACTOR:-Nova}
barista=${AGENTCAFE_BARISTA:-Barista}
table=table_2
timeout_seconds=${AGENTCAFE_TIMEOUT:-60}     # deadline of the whole visit
deadline=$((SECONDS + timeout_seconds))
visit=$(date +%s)-$$-$RANDOM                 # part of every idempotency key of this visit
inside=no

exec 3>&1                                    # log lines go here, also those inside $(...)
log() { printf '%s %-8s %s\n' "$(date +%H:%M:%S)" "$me" "$*" >&3; }
die() { printf 'guest: %s\n' "$*" >&2; exit 1; }

tmp=$(mktemp -d)
# Leaves the room however the script ends.
finish() {
  if [ "$inside" = yes ]; then (leave) || true; fi
  rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT TERM

{
  echo "content-type: application/json"
  echo "prefer: handling=strict"             # names that the server does not know are refused
  if [ -n "${AGENTCAFE_TOKEN:-}" ]; then echo "x-api-key: $AGENTCAFE_TOKEN"; fi
} > "$tmp/headers"                           # a file, so that `ps` does not show the token

# call CURL_ARGUMENTS...: sends one request, and repeats it unchanged (with the same key) until it succeeds or is refused.
# Prints the `data` of the response.
call() {
  local status why wait_ms backoff_ms=250
  while :; do
    rm -f "$tmp/body" "$tmp/head"
    status=$(curl -sS --max-time 40 -H @"$tmp/headers" -D "$tmp/head" -o "$tmp/body" \
      -w '%{http_code}' "$@" 2> "$tmp/curl") || status=000
    case $status in
      2??) jq -c .data "$tmp/body"; return ;;
      000) why="no response ($(cat "$tmp/curl"))" ;;          # it may have taken effect: the key makes a repeat safe
      *) why="$status $(jq -r '.error.code' "$tmp/body" 2> /dev/null || true)" ;;
    esac
    case $status in
      000 | 423 | 429 | 502 | 503 | 504) wait_ms=$(retry_after_ms) ;;
      *) die "refused: $why $(jq -c .error "$tmp/body" 2> /dev/null || true)" ;;
    esac
    if ((${wait_ms:-0} == 0)); then wait_ms=$backoff_ms; fi
    if ((SECONDS + wait_ms / 1000 >= deadline)); then die "gave up after ${timeout_seconds} s: $why"; fi
    log "waits $wait_ms ms, then tries again: $why"
    sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
    backoff_ms=$((backoff_ms < 4000 ? backoff_ms * 2 : 5000))
  done
}

# Milliseconds until the next attempt: exact in the details, whole seconds in the header.
retry_after_ms() {
  local exact=''
  exact=$(jq -r '.error.details.retryAfterMs // empty | ceil' "$tmp/body" 2> /dev/null) || true
  if [ -n "$exact" ]; then echo "$exact"; return; fi
  jq -rR 'capture("^retry-after: *(?<seconds>[0-9]+)"; "i") | (.seconds | tonumber) * 1000' "$tmp/head" 2> /dev/null || true
}

# get PATH NAME=VALUE...
get() {
  local path=$1 field query=()
  shift
  for field in tenantId=default roomId="$room" "$@"; do query+=(--data-urlencode "$field"); done
  call -G "$url$path" "${query[@]}"
}

# post PATH KEY NAME=VALUE...: sends a mutation; `mentions` names one actor. It takes effect once per key, however often it is sent.
post() {
  local path=$1 key=$2 body
  shift 2
  body=$(jq -nc '[$ARGS.positional[] | index("=") as $i | {key: .[:$i], value: .[$i + 1:]}] | from_entries
    | if .mentions then .mentions |= [.] else . end' \
    --args tenantId=default roomId="$room" actorId="$me" "$@")
  call -X POST "$url$path" -H "idempotency-key: $key" --data-binary "$body"
}

leave() {
  inside=no
  log "leaves"
  post /v1/commands/leave "$visit-leave" > /dev/null
}

# Bootstrap: the cursor of the log. A poll from here misses no later event.
cursor=$(get /v1/bootstrap actorId="$me" | jq .cursor)

inside=yes
log "enters $room"
post /v1/commands/enter "$visit-enter" > /dev/null
log "sits down at $table"
post /v1/intents/execute "$visit-sit" intent=sit_at_table tableId="$table" > /dev/null

# Post the order. The script chooses the message id, which is also the id of the reply's thread. The barista is listed, because a
# name in a text reaches only who was here before.
ask=$visit-ask
log "says: @$barista a flat white please"
post /v1/commands/say "$visit-say" messageId="$ask" mentions="$barista" text="@$barista a flat white please" > /dev/null

# Poll until the barista replies to that message.
reply=
while [ -z "$reply" ]; do
  left=$((deadline - SECONDS))
  if ((left <= 0)); then die "timeout: no reply from $barista within $timeout_seconds s (is barista.py in room $room?)"; fi
  page=$(get /v1/events/poll actorId="$me" authorId="$barista" types=conversation_message_posted \
    cursor="$cursor" timeoutMs=$((left < 25 ? left * 1000 : 25000)))
  cursor=$(jq .nextCursor <<< "$page")
  reply=$(jq -c --arg ask "$ask" \
    'first(.events[].payload.conversation | select(.threadId == $ask and .parentMessageId == $ask)) // empty' <<< "$page")
done
log "hears $barista: $(jq -r '.text | gsub("[[:cntrl:]]"; " ")' <<< "$reply")"

# The reply mentions Nova, so it is in her inbox, too. Act on it first, then acknowledge it.
item=$(get /v1/inbox actorId="$me" unreadOnly=true order=desc | jq -c --argjson reply "$reply" \
  'first(.items[] | select(.payload.sourceMessageId == $reply.messageId)) // empty')
if [ -z "$item" ]; then die "the reply did not reach the inbox of $me"; fi
inbox_id=$(jq -r .inboxId <<< "$item")

log "says: @$barista thank you, bye"
post /v1/conversations/messages "$inbox_id-reply" text="@$barista thank you, bye" \
  threadId="$ask" parentMessageId="$(jq -r .messageId <<< "$reply")" > /dev/null
unread=$(post "/v1/inbox/$inbox_id/ack" "$inbox_id-ack" | jq .unreadCount)
log "has read it ($unread unread)"

leave
