#!/usr/bin/env bash
# Installs the tools that the tests need, if they are missing, then runs all tests. An ignored test is a failure.
set -euo pipefail
cd "$(dirname "$0")"

as_root() { [ "$(id -u)" = 0 ] || echo sudo; }

missing=()
for tool in cc curl jq openssl python3; do
    command -v "$tool" > /dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" -gt 0 ]; then
    packages=("${missing[@]/#cc/gcc libc6-dev}")
    $(as_root) apt-get update
    # shellcheck disable=SC2068  # one entry may name two packages
    $(as_root) apt-get install --yes --no-install-recommends ${packages[@]}
fi

# PostgreSQL: the tests start their own servers. The one that Debian starts is not used.
if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null; then
    $(as_root) apt-get update
    $(as_root) apt-get install --yes --no-install-recommends postgresql
fi

# Redis, likewise.
if ! command -v redis-server > /dev/null || ! command -v redis-cli > /dev/null; then
    $(as_root) apt-get update
    $(as_root) apt-get install --yes --no-install-recommends redis-server
fi

# libfaketime, which gives a process another time.
if ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' > /dev/null; then
    $(as_root) apt-get update
    $(as_root) apt-get install --yes --no-install-recommends libfaketime
fi

# A browser.
if ! command -v chromium > /dev/null; then
    $(as_root) apt-get update
    $(as_root) apt-get install --yes --no-install-recommends chromium
fi

# The tools for the OpenAPI document, in a virtual environment of their own: validators, generators of clients, and Node.js.
target=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
clients=crates/app/tests/clients
tools=$target/python-tools
if ! cmp --silent "$clients/requirements.txt" "$tools/requirements.txt"; then
    rm -rf "$tools"
    mkdir -p "$target"
    if ! python3 -m venv "$tools"; then
        # Debian has the module venv in a separate package.
        rm -rf "$tools"
        $(as_root) apt-get update
        $(as_root) apt-get install --yes --no-install-recommends python3-venv
        python3 -m venv "$tools"
    fi
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$clients/requirements.txt"
    cp "$clients/requirements.txt" "$tools"
fi
# Those that are written in JavaScript.
modules=$target/node-tools/node_modules
if ! cmp --silent "$clients/package-lock.json" "$modules/package-lock.json"; then
    rm -rf "$target/node-tools"
    mkdir -p "$target/node-tools"
    cp "$clients/package.json" "$clients/package-lock.json" "$target/node-tools"
    (cd "$target/node-tools" && PATH=$tools/bin:$PATH npm ci --silent --no-audit --no-fund --ignore-scripts)
    cp "$clients/package-lock.json" "$modules"
fi

# The tests mostly wait for servers, so more of them run at the same time than there are cores.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=
# Runs a test command, and records a failure without stopping.
run() { "$@" 2>&1 | tee --append "$log" || failed=yes; }

run cargo test --workspace --no-fail-fast "$@"
# The black-box tests again, on PostgreSQL and Redis, each server as two nodes that get a client's requests alternately.
# Skipped are tests of the embedded database only, and of PostgreSQL only, which have run: their paths contain these words.
one_database=(--skip store_ --skip postgres_)
export AGENTCAFE_TEST_STORE=postgres AGENTCAFE_TEST_NODES=2
run cargo test -p agentcafe --test it -- "${one_database[@]}"

if grep -E '^test result: .* [1-9][0-9]* ignored' "$log" > /dev/null; then
    echo 'test.sh: some tests were ignored' >&2
    failed=yes
fi
if [ -n "$failed" ]; then
    echo 'test.sh: failed; the tests that failed, if any:' >&2
    grep -E '^test .* \.\.\. FAILED$' "$log" >&2 || true
    exit 1
fi
