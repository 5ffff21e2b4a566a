// The running server as the clients' checks see it, and what they share. Usage of the checks: node clients.mjs URL TOKEN
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const [url, token] = process.argv.slice(2);
if (!url || !token) throw new Error("Usage: node clients.mjs URL TOKEN");

export { assert, token, url };
export const authorization = `Bearer ${token}`;
export const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** A `fetch` that notes what is sent: `{ method, body, headers, status, type }` of each request. */
export function recordingFetch() {
  const requests = [];
  const recording = async (input, init = {}) => {
    const { searchParams } = new URL(input);
    const body = init.body ? JSON.parse(init.body) : Object.fromEntries(searchParams);
    const request = { method: init.method ?? "GET", body, headers: new Headers(init.headers) };
    requests.push(request);
    const response = await fetch(input, init);
    request.status = response.status;
    request.type = response.headers.get("content-type");
    return response;
  };
  return [recording, requests];
}

async function ask(query, variables) {
  const headers = { authorization, "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  return data;
}

export const WATCH_JOB = "subscription Watch($id: ID!) { syncJobUpdated(id: $id) { id state progress } }";

/** The id of a job over three accounts, which ends within seconds. */
export async function startJob() {
  const { accounts } = await ask("{ accounts(first: 3) { edges { node { id } } } }");
  const ids = accounts.edges.map(({ node }) => node.id);
  const start = "mutation ($ids: [ID!]!) { syncAccounts(input: { target: { ids: $ids } }) { job { id } } }";
  return (await ask(start, { ids })).syncAccounts.job.id;
}

/** Checks what a subscription to a job has told until its end. */
export function expectJob(id, jobs) {
  assert.ok(jobs.length >= 1, "nothing was told");
  assert.ok(jobs.every((job) => job.id === id));
  assert.deepEqual([jobs.at(-1).state, jobs.at(-1).progress], ["SUCCEEDED", 1]);
}
