#!/usr/bin/env bash
# GraphiQL in headless Chromium, with no network but the server. Screenshots go to the folder named (.data/browser).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/demo_server.sh

find_chromium() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
  if [ -z "$CHROMIUM" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "== Installing chromium"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium; } >/dev/null
    CHROMIUM=$(command -v chromium || true)
  fi
  if [ -z "$CHROMIUM" ]; then
    echo "Chromium is missing. Install Debian's package chromium, or name the program in CHROMIUM." >&2
    exit 1
  fi
  export CHROMIUM
}

# What the link's own query answers: the page has to show the first three names of it.
expected_names() {
  node -e '
    const { origin, pathname, searchParams } = new URL(process.argv[1]);
    const body = { query: searchParams.get("query"), variables: JSON.parse(searchParams.get("variables") || "{}") };
    const headers = { "content-type": "application/json", ...JSON.parse(searchParams.get("headers")) };
    fetch(origin + pathname, { method: "POST", headers, body: JSON.stringify(body) })
      .then((response) => response.json())
      .then(({ data }) => data.accounts.edges.slice(0, 3).forEach(({ node }) => console.log(node.displayName)));
  ' "$1"
}

install_node_modules
find_chromium
start_demo
link=$(get_demo_value graphiql)
names=$(expected_names "$link")
mapfile -t names <<<"$names"
echo "== GraphiQL in Chromium, looking for: $(printf '%s, ' "${names[@]}" | sed 's/, $//')"
node node/browser.mjs "$link" "${1:-.data/browser}" "${names[@]}"
