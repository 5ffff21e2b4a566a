# For the checks that need a running server: `. scripts/demo_server.sh`, from the project's folder.
# The server and its data are gone when the script ends, however it ends.

install_node_modules() {
  command -v npm >/dev/null || { echo "npm is missing: this check needs Node 20 or later." >&2; exit 1; }
  if [ node/node_modules/.package-lock.json -nt node/package-lock.json ]; then return; fi
  (cd node && npm ci --loglevel=error)
}

start_demo() {
  work=$(mktemp -d)
  server=
  trap stop_demo EXIT
  "${TIKTOK_ACCOUNTS:-.venv/bin/tiktok-accounts}" demo --json --port 0 --data-dir "$work/data" \
    >"$work/stdout" 2>"$work/stderr" &
  server=$!
  for _ in $(seq 1200); do
    if [ "$(wc -l <"$work/stdout")" -gt 0 ]; then return; fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "The demo did not start. Its output:" >&2
  cat "$work/stderr" >&2
  exit 1
}

# get_demo_value endpoint, get_demo_value tokens.alice: a value of the line that the demo printed.
get_demo_value() {
  head -n 1 "$work/stdout" | node -e '
    const values = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    console.log(process.argv[1].split(".").reduce((value, key) => value[key], values));
  ' "$1"
}

stop_demo() {
  local status=$?
  if [ -n "$server" ] && kill "$server" 2>/dev/null; then
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
  exit "$status"
}
