#!/usr/bin/env bash
# Makes .venv hold exactly requirements/dev.txt and this project, editable. Quick and silent when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

export UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1 # trust what this machine trusts; stay readable in a log
unset VIRTUAL_ENV

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.11 or later was found (tried python3.13, python3.12, python3.11, python3)." \
    "Install one, for example: apt install python3 python3-venv, brew install python@3.12"
}

# uv from PATH, else our own under .cache, made with venv, else with pip: a minimal Python may lack either.
find_uv() {
  local own=.cache/uv
  if uv --version >/dev/null 2>&1; then
    echo uv
  elif "$own/bin/uv" --version >/dev/null 2>&1; then
    echo "$own/bin/uv"
  else
    say "fetching uv into $own" >&2
    rm -rf "$own"
    mkdir -p .cache
    if "$python" -m venv "$own" >/dev/null 2>&1; then
      "$own/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt >&2
    elif rm -rf "$own" && "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip install -q --disable-pip-version-check --root-user-action ignore --require-hashes -r requirements/uv.txt \
        --target "$own" >&2
    else
      fail "uv is not on PATH, and $python has neither venv nor pip to fetch it with." \
        "Install uv, or the missing part, for example: apt install python3-venv"
    fi || fail "uv could not be fetched (see above): is the package index reachable?"
    echo "$own/bin/uv"
  fi
}

wanted=$(cat requirements/dev.txt pyproject.toml scripts/setup.sh | cksum)
if [ "$(cat .venv/.ready 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

python=$(find_python)
uv=$(find_uv)
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  say "making .venv with $("$python" --version)"
  "$uv" venv -q --clear --python "$python" .venv
fi
say "installing the pinned packages"
"$uv" pip sync -q --python .venv/bin/python --require-hashes requirements/dev.txt
say "installing llm-stream itself, editable"
"$uv" pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
echo "$wanted" >.venv/.ready
say "ready"
