// graphql-sse in its "distinct connections mode".
import { createClient } from "graphql-sse";
import { WATCH_JOB, assert, authorization, expectJob, recordingFetch, startJob, url } from "./api.mjs";

function clientOf(token = authorization) {
  const [fetchFn, requests] = recordingFetch();
  return [createClient({ url, fetchFn, headers: { authorization: token }, retryAttempts: 0 }), requests];
}

async function results(client, query, variables) {
  const told = [];
  for await (const result of client.iterate({ query, variables })) told.push(result);
  return told;
}

export async function subscribes() {
  const [client, requests] = clientOf();
  const id = await startJob();
  const told = await results(client, WATCH_JOB, { id });
  expectJob(id, told.map(({ data }) => data.syncJobUpdated));
  assert.match(requests[0].type, /^text\/event-stream/);
}

export async function asksForOneResult() {
  const [client] = clientOf();
  const [{ data }, ...more] = await results(client, "{ viewer { userId } }");
  assert.ok(data.viewer.userId);
  assert.deepEqual(more, []);
}

export async function isToldWhatTheDocumentGetsWrong() {
  const [client] = clientOf();
  for (const [query, code] of [
    ["subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"],
    ["{", "GRAPHQL_PARSE_FAILED"],
    ['subscription { syncJobUpdated(id: "x") { id } }', "NOT_FOUND"],
  ]) {
    const [{ errors }] = await results(client, query);
    assert.equal(errors[0].extensions.code, code);
  }
}

export async function isRefusedWithoutAToken() {
  const [client] = clientOf("Bearer a.b.c");
  const error = await results(client, "{ viewer { userId } }").then(() => null, (reason) => reason);
  assert.equal(error.response.status, 401);
}
