// urql with its defaults: queries by GET with a token and no other header, subscriptions by server-sent events.
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { WATCH_JOB, assert, authorization, expectJob, recordingFetch, startJob, url } from "./api.mjs";

function clientOf(options = {}, exchanges = [cacheExchange, fetchExchange]) {
  const [fetch, requests] = recordingFetch();
  const fetchOptions = { headers: { authorization } };
  return [new Client({ url, fetch, fetchOptions, exchanges, ...options }), requests];
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

export async function queriesByItsDefaults() {
  const [client, requests] = clientOf();
  const { data, error } = await client.query("query Defaults { viewer { userId } }", {}).toPromise();
  assert.equal(error, undefined);
  assert.ok(data.viewer.userId);
  assert.deepEqual([requests[0].method, requests[0].status], ["GET", 200]);
  assert.equal(requests[0].headers.get("apollo-require-preflight"), null);
}

export async function changesByPost() {
  const [client, requests] = clientOf();
  const { data } = await client.mutation('mutation { syncAccount(input: { id: "x" }) { success } }', {}).toPromise();
  assert.deepEqual([requests[0].method, data.syncAccount.success], ["POST", false]);
}

export async function persistsQueries() {
  const exchanges = [cacheExchange, persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange];
  const [client, requests] = clientOf({ requestPolicy: "network-only" }, exchanges);
  const query = `query Q${Date.now()} { viewer { userId } }`;
  for (let round = 0; round < 2; round += 1) {
    const { data, error } = await client.query(query, {}).toPromise();
    assert.equal(error, undefined);
    assert.ok(data.viewer.userId);
  }
  const shown = requests.map(({ method, body }) => [method, Boolean(body.query)]);
  assert.deepEqual(shown, [["GET", false], ["GET", true], ["GET", false]]);
}

export async function subscribesByEvents() {
  const [client, requests] = clientOf({ fetchSubscriptions: true });
  const id = await startJob();
  const jobs = await new Promise((resolve, reject) => {
    const told = [];
    client.subscription(WATCH_JOB, { id }).subscribe(({ data, error, hasNext }) => {
      if (error) reject(error);
      if (data) told.push(data.syncJobUpdated);
      if (!hasNext) resolve(told);
    });
  });
  expectJob(id, jobs);
  assert.match(requests[0].type, /^text\/event-stream/);
}

export async function isToldWhyAStreamIsRefused() {
  for (const [token, code] of [["Bearer a.b.c", "UNAUTHENTICATED"], [authorization, "GRAPHQL_VALIDATION_FAILED"]]) {
    const [client] = clientOf({ fetchSubscriptions: true, fetchOptions: { headers: { authorization: token } } });
    const query = code === "UNAUTHENTICATED" ? "subscription { accountChanged { kind } }" : "subscription { nothing }";
    const error = await new Promise((resolve) => {
      const { unsubscribe } = client.subscription(query, {}).subscribe((result) => {
        if (result.error) settle().then(unsubscribe).then(() => resolve(result.error));
      });
    });
    assert.equal(error.graphQLErrors[0]?.extensions.code, code);
  }
}
