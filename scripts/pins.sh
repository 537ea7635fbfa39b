#!/usr/bin/env bash
# Regenerates the hash-pinned requirements. Keeps the pins that stand unless UPGRADE=1.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=uv
"$uv" --version >/dev/null 2>&1 || uv=.cache/uv/bin/uv
export UV_SYSTEM_CERTS=1 # trust what this machine trusts
unset UV_INDEX_URL UV_DEFAULT_INDEX PIP_INDEX_URL PIP_FIND_LINKS

compile() {
  "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
    --no-emit-find-links ${UPGRADE:+--upgrade} "$@" >/dev/null
}

compile pyproject.toml -o requirements/runtime.txt
compile pyproject.toml requirements/dev.in -o requirements/dev.txt
compile requirements/uv.in -o requirements/uv.txt
