#!/usr/bin/env bash
# What the tools of GraphQL clients say: the audits of GraphQL over HTTP, Relay's compiler, Relay's lint rules.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo_server.sh

install_node_modules
echo "== Relay's rules on schema.graphql"
node node/lint.mjs schema.graphql
echo "== relay-compiler on schema.graphql"
node node/relay/check.mjs schema.graphql
echo "== Audits of GraphQL over HTTP"
start_demo
node node/audit.mjs "$(demo_says endpoint)" "$(demo_says tokens.alice)"
