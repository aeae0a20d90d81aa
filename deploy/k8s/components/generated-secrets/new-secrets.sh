#!/bin/sh
# Makes what is missing in secrets/ beside this file: random passwords, one API key, which it prints this once, and empty
# files for the keys of services. What is there already stays. Needs openssl.
set -eu
directory=${1:-$(dirname "$0")/secrets}
sh "$(dirname "$0")/../../../compose/new-secrets.sh" "$directory"
cd "$directory"
for name in redis_sentinel_password grafana_password; do
    [ -e "$name" ] || openssl rand -hex 24 > "$name"
done
# A line break at the end would be a part of the password.
for name in *; do
    value=$(cat "$name")
    printf %s "$value" > "$name"
    chmod 600 "$name"
done
