#!/usr/bin/env bash
# Installs what the tests need where it is missing, then runs all tests. Nothing is skipped: a test that was
# ignored makes this fail.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
for tool in cc curl jq python3; do
    command -v "$tool" > /dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" -gt 0 ]; then
    packages=("${missing[@]/#cc/gcc libc6-dev}")
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update
    # shellcheck disable=SC2068  # one entry may name two packages
    $as_root apt-get install --yes --no-install-recommends ${packages[@]}
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace "$@" 2>&1 | tee "$log"
if grep -E '^test result: .* [1-9][0-9]* ignored' "$log" > /dev/null; then
    echo 'test.sh: some tests were ignored' >&2
    exit 1
fi
