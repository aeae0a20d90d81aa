#!/usr/bin/env bash
# Makes the virtual environment $1 with a supported Python, or leaves a good one as it is.
# PYTHON names the interpreter to take; otherwise the newest of those on the search path that really runs: a name on
# the path can be a version manager's shim with nothing behind it.
set -euo pipefail

venv=$1
supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

runs() { command -v "$1" >/dev/null && "$1" -c "$supported" >/dev/null 2>&1; }

if [[ -n "${PYTHON:-}" ]]; then
  if ! runs "$PYTHON"; then
    echo "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13 that runs" >&2
    exit 1
  fi
elif runs "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  exit 0
else
  for PYTHON in python3.13 python3.12 python3.11 python3 python ""; do
    if [[ -z "$PYTHON" ]]; then
      echo "no Python 3.11, 3.12 or 3.13 found; install one, or name it: make venv PYTHON=/path/to/python3.12" >&2
      exit 1
    fi
    if runs "$PYTHON"; then break; fi
  done
fi

echo "making $venv with $("$PYTHON" --version) ($(command -v "$PYTHON"))"
if ! "$PYTHON" -m venv --clear "$venv"; then
  echo "its venv module does not work; on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi
