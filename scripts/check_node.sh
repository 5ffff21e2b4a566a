#!/usr/bin/env bash
# Checks with GraphQL clients and their tools: Relay's lint rules and compiler, audits of GraphQL over HTTP, and each client itself.
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
node node/audit.mjs "$(get_demo_value endpoint)" "$(get_demo_value tokens.alice)"
echo "== Apollo Client, urql, graphql-sse, Relay, and what platforms ask"
node node/clients.mjs "$(get_demo_value endpoint)" "$(get_demo_value tokens.alice)"
