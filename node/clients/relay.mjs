// relay-runtime with a compiled query: a connection whose first page is asked for with `after: ""`.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import compiler from "relay-compiler";
import relay from "relay-runtime";
import { assert, authorization, recordingFetch, url } from "./api.mjs";

const { Environment, Network, RecordSource, Store, fetchQuery } = relay;
const CONTRACT = fileURLToPath(new URL("../../schema.graphql", import.meta.url));
const QUERY = `graphql\`
  query pageQuery($first: Int, $after: String, $last: Int, $before: String, $id: ID!) {
    accounts(first: $first, after: $after, last: $last, before: $before) @connection(key: "page_accounts") {
      edges { node { id } }
      pageInfo { hasNextPage endCursor }
    }
    node(id: $id) { id }
  }
\`;`;

async function compiled() {
  const work = mkdtempSync(path.join(tmpdir(), "relay-"));
  try {
    for (const folder of ["src", "__generated__"]) mkdirSync(path.join(work, folder));
    copyFileSync(CONTRACT, path.join(work, "schema.graphql"));
    writeFileSync(path.join(work, "package.json"), '{ "type": "module" }');
    writeFileSync(path.join(work, "src/page.js"), QUERY);
    const config = { src: "./src", schema: "./schema.graphql", language: "javascript", artifactDirectory: "./__generated__" };
    writeFileSync(path.join(work, "relay.config.json"), JSON.stringify({ ...config, eagerEsModules: true }));
    const options = ["--noWatchman", "--output", "quiet-with-errors", "relay.config.json"];
    const { status } = spawnSync(compiler, options, { cwd: work, stdio: "inherit" });
    assert.equal(status, 0);
    return (await import(pathToFileURL(path.join(work, "__generated__/pageQuery.graphql.js")))).default;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

export async function pagesFromAnEmptyCursor() {
  const [fetch, requests] = recordingFetch();
  const network = Network.create(async ({ text }, variables) => {
    const headers = { authorization, "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query: text, variables }) });
    return response.json();
  });
  const query = await compiled();
  const pages = [];
  for (const cursors of [{ first: 3 }, { first: 3, after: "" }, { first: 3, before: "" }, { last: 3, before: "" }]) {
    const environment = new Environment({ network, store: new Store(new RecordSource()) });
    const { accounts, node } = await fetchQuery(environment, query, { id: "garbage", ...cursors }).toPromise();
    assert.equal(node, null);
    pages.push(accounts.edges.map((edge) => edge.node.id));
  }
  assert.equal(pages[0].length, 3);
  assert.deepEqual(pages[1], pages[0]);
  assert.deepEqual(pages[2], pages[0]);
  assert.equal(pages[3].length, 3);
  assert.equal(requests[1].body.variables.after, "");
}
