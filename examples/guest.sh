#!/usr/bin/env bash
# Nova, a guest: takes a seat, asks the barista for a flat white, hears the answer, thanks, leaves.
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
timeout_seconds=${AGENTCAFE_TIMEOUT:-60}     # for the whole visit
deadline=$((SECONDS + timeout_seconds))
visit=$(date +%s)-$$-$RANDOM                 # makes the keys of this visit its own
inside=no

exec 3>&1                                    # log lines go here, also from inside $(...)
log() { printf '%s %-8s %s\n' "$(date +%H:%M:%S)" "$me" "$*" >&3; }
die() { printf 'guest: %s\n' "$*" >&2; exit 1; }

tmp=$(mktemp -d)
# However this ends, Nova does not stay behind as a ghost.
finish() {
  if [ "$inside" = yes ]; then (leave) || true; fi
  rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT TERM

{
  echo "content-type: application/json"
  if [ -n "${AGENTCAFE_TOKEN:-}" ]; then echo "x-api-key: $AGENTCAFE_TOKEN"; fi
} > "$tmp/headers"                           # a file, so that the token does not show up in `ps`

# call CURL_ARGUMENTS...: one request, repeated unchanged (same key!) until there is a clear answer.
# Prints the answer's `data`.
call() {
  local status why wait_ms backoff_ms=250
  while :; do
    rm -f "$tmp/body" "$tmp/head"
    status=$(curl -sS --max-time 40 -H @"$tmp/headers" -D "$tmp/head" -o "$tmp/body" \
      -w '%{http_code}' "$@" 2> "$tmp/curl") || status=000
    case $status in
      2??) jq -c .data "$tmp/body"; return ;;
      000) why="no answer ($(cat "$tmp/curl"))" ;;          # it may have happened: the key makes it safe
      *) why="$status $(jq -r '.error.code' "$tmp/body" 2> /dev/null || true)" ;;
    esac
    case $status in
      000 | 423 | 429 | 502 | 503 | 504) wait_ms=$(asked_to_wait) ;;
      *) die "refused: $why $(jq -c .error "$tmp/body" 2> /dev/null || true)" ;;
    esac
    if ((${wait_ms:-0} == 0)); then wait_ms=$backoff_ms; fi
    if ((SECONDS + wait_ms / 1000 >= deadline)); then die "gave up after ${timeout_seconds} s: $why"; fi
    log "waits $wait_ms ms, then tries again: $why"
    sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
    backoff_ms=$((backoff_ms < 4000 ? backoff_ms * 2 : 5000))
  done
}

# Milliseconds the café asks us to wait: exact in the details, in whole seconds in the header.
asked_to_wait() {
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

# post PATH KEY NAME=VALUE...: acts. The key names the intention; however often sent, it takes effect once.
post() {
  local path=$1 key=$2 body
  shift 2
  body=$(jq -nc '[$ARGS.positional[] | index("=") as $i | {key: .[:$i], value: .[$i + 1:]}] | from_entries' \
    --args tenantId=default roomId="$room" actorId="$me" "$@")
  call -X POST "$url$path" -H "idempotency-key: $key" --data-binary "$body"
}

leave() {
  inside=no
  log "leaves"
  post /v1/commands/leave "$visit-leave" > /dev/null
}

# Bootstrap: where the log stands now. A poll from here misses nothing of what follows.
cursor=$(get /v1/bootstrap actorId="$me" | jq .cursor)

inside=yes
log "enters $room"
post /v1/commands/enter "$visit-enter" > /dev/null
log "sits down at $table"
post /v1/intents/execute "$visit-sit" intent=sit_at_table tableId="$table" > /dev/null

# Ask. Naming the message ourselves, we know which thread the answer will be in.
ask=$visit-ask
log "says: @$barista a flat white please"
post /v1/commands/say "$visit-say" messageId="$ask" text="@$barista a flat white please" > /dev/null

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

# The reply mentions Nova, so it is in her inbox as well. Act on it first, ack it then.
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
