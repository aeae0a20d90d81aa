#!/usr/bin/env bash
# What our own layers of the two images add up to, in bytes, without Docker: the same installation and the same bytecode as
# the Dockerfiles make. The first argument is a Python of the images' minor version, 3.12 (default: python3.12).
# The layers of the base image come on top; only a registry can tell their size.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3.12}
pip=.venv/bin/pip
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

bytes() { du --summarize --bytes "$1" | cut -f 1; }

printf '%-8s %14s %14s %14s\n' image dependencies code together
for image in api worker; do
  [[ $image == api ]] && sources=(codeforge) || sources=(codeforge workers)
  venv=$place/$image/venv
  app=$place/$image/app
  mkdir -p "$app"
  "$python" -m venv --without-pip "$venv"
  "$pip" --disable-pip-version-check --python "$venv/bin/python" install --quiet --require-hashes --only-binary :all: \
    -r "requirements/$image.txt" 2>"$place/errors" || { cat "$place/errors" >&2; exit 1; }
  git archive HEAD "${sources[@]}" | tar -x -C "$app"
  "$python" -m compileall -q --invalidation-mode unchecked-hash "$app"
  printf '%-8s %14d %14d %14d\n' "$image" "$(bytes "$venv")" "$(bytes "$app")" $(($(bytes "$venv") + $(bytes "$app")))
done
