#!/bin/sh
# Makes the secrets that deploy/compose.yaml reads, once: those that are there already stay.
# The directory is the first argument (default: secrets, beside this script). Git ignores it.
set -eu
umask 077

directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
echo '*' >"$directory/.gitignore"

keep() {
    [ -e "$directory/$1" ] || printf '%s\n' "$2" >"$directory/$1"
}

random() {
    head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 40
}

keep database_password "$(random)"
keep database_url "postgresql://llm_jobs:$(cat "$directory/database_password")@postgres:5432/llm_jobs"
keep secret_key "$(random)"
keep metrics_token "$(random)"
keep flower_basic_auth "operator:$(random)"
keep openai_api_key ""
keep anthropic_api_key ""
# Containers read them as another user; the directory itself is closed to everybody else.
chmod 644 "$directory"/*
echo "secrets are in $directory; write the providers' keys into openai_api_key and anthropic_api_key"
