#!/bin/sh
# Makes what is missing in the directory secrets/ beside this file (or in the directory given): random passwords, one API
# key, and empty files for the keys of services. What is there already stays. Needs openssl.
set -eu

directory=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$directory"
# Files of a Compose secret keep their owner and mode in the container, whose user is another: they are readable to all,
# in a directory that only you can enter.
chmod 700 "$directory"
cd "$directory"

# make NAME: standard input becomes the file, unless there is one.
make() {
    if [ -e "$1" ]; then
        cat > /dev/null
    else
        cat > "$1.new"
        chmod 644 "$1.new"
        mv "$1.new" "$1"
    fi
}

random() {
    openssl rand -hex 24
}

random | make redis_password
random | make neo4j_password
random | make qdrant_api_key
random | make qdrant_read_only_api_key
random | make grafana_admin_password
printf 'codeforge:%s\n' "$(random)" | make flower_basic_auth
# Neo4j's own form of the same password; it counts only while the data volume is empty.
printf 'neo4j/%s\n' "$(cat neo4j_password)" | make neo4j_auth

for name in llm_api_key embeddings_api_key tavily_api_key exa_api_key zenrows_api_key; do
    make "$name" < /dev/null
done

if [ ! -e api_keys ]; then
    key=$(random)
    digest=$(printf %s "$key" | openssl dgst -sha256 -r)
    printf 'default:%s\n' "${digest%% *}" | make api_keys
    echo "API key of the tenant \"default\", shown this once: $key"
fi
echo "Keys of services go into these files, where they are used:"
for name in llm_api_key embeddings_api_key tavily_api_key exa_api_key zenrows_api_key; do
    [ -s "$name" ] || echo "  $directory/$name"
done
