// Apollo Client 4: persisted queries by POST and GET, the cursor of an empty page, subscriptions both ways.
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { WATCH_JOB, assert, authorization, expectJob, recordingFetch, sha256, startJob, token, url } from "./api.mjs";

const named = () => `q${Math.random().toString(36).slice(2)}`;
const headers = { authorization, "apollographql-client-name": "check", "apollographql-client-version": "1" };

function clientOf(link) {
  const fields = { accounts: relayStylePagination(["filter", "orderBy"]) };
  const cache = new InMemoryCache({ typePolicies: { Query: { fields } } });
  return new ApolloClient({ link, cache, defaultOptions: { query: { fetchPolicy: "network-only" } } });
}

function persisted(options = {}) {
  const [fetch, requests] = recordingFetch();
  const link = ApolloLink.from([new PersistedQueryLink({ sha256, ...options }), new HttpLink({ uri: url, fetch, headers })]);
  return [clientOf(link), requests];
}

async function asked(client, requests, query) {
  const before = requests.length;
  const { data } = await client.query({ query });
  assert.ok(data.viewer.userId);
  return requests.slice(before).map(({ method, body, status }) => [method, Boolean(body.query), status]);
}

export async function persistsQueriesByPost() {
  const [client, requests] = persisted();
  const query = gql(`query ${named()} { viewer { userId } }`);
  assert.deepEqual(await asked(client, requests, query), [["POST", false, 200], ["POST", true, 200]]);
  assert.deepEqual(await asked(client, requests, query), [["POST", false, 200]]);
}

export async function persistsQueriesByGet() {
  const [client, requests] = persisted({ useGETForHashedQueries: true });
  const query = gql(`query ${named()} { viewer { userId } }`);
  assert.deepEqual(await asked(client, requests, query), [["GET", false, 200], ["POST", true, 200]]);
  assert.deepEqual(await asked(client, requests, query), [["GET", false, 200]]);
}

export async function isToldThatAHashIsAnothers() {
  const [client] = persisted({ sha256: () => sha256("another") });
  const query = gql(`query ${named()} { viewer { userId } }`);
  const error = await client.query({ query }).then(() => null, (reason) => reason);
  assert.match(JSON.stringify(error.errors ?? error.result ?? error.bodyText), /PERSISTED_QUERY_MISMATCH/);
}

export async function pagesOnFromAnEmptyPage() {
  const [fetch, requests] = recordingFetch();
  const client = clientOf(new HttpLink({ uri: url, fetch, headers }));
  const query = gql`
    query Page($after: String, $filter: AccountFilter) {
      accounts(first: 2, after: $after, filter: $filter) {
        edges { cursor node { id } }
        pageInfo { hasNextPage endCursor }
      }
    }
  `;
  const variables = { filter: { search: "nobody has this name" } };
  const observed = client.watchQuery({ query, variables });
  const subscription = observed.subscribe(() => {});
  const { data } = await client.query({ query, variables });
  assert.deepEqual(data.accounts.edges, []);
  // relayStylePagination makes "" of the null cursor, which pages send as `after`
  await observed.fetchMore({ variables: { after: data.accounts.pageInfo.endCursor } });
  assert.ok(requests.some(({ body }) => body.variables?.after === ""));
  subscription.unsubscribe();
}

const collected = (observable, pick) =>
  new Promise((resolve, reject) => {
    const values = [];
    observable.subscribe({
      next: ({ data, error }) => (error ? reject(error) : values.push(pick(data))),
      error: reject,
      complete: () => resolve(values),
    });
  });

async function watches(link) {
  const id = await startJob();
  const client = clientOf(link);
  const jobs = await collected(client.subscribe({ query: gql(WATCH_JOB), variables: { id } }), (data) => data.syncJobUpdated);
  expectJob(id, jobs);
}

export async function subscribesInParts() {
  const [fetch, requests] = recordingFetch();
  await watches(new HttpLink({ uri: url, fetch, headers }));
  assert.match(requests.at(-1).type, /^multipart\/mixed/);
}

const socket = (connectionParams, options = {}) =>
  createClient({ url: url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, ...options });

class WithHeader extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { authorization } });
  }
}

export async function subscribesByWebSocketHoweverItSignsIn() {
  for (const parameters of [
    { Authorization: authorization },
    { authorization },
    { headers: { Authorization: authorization } },
    { authToken: token },
  ])
    await watches(new GraphQLWsLink(socket(parameters)));
  await watches(new GraphQLWsLink(socket(undefined, { webSocketImpl: WithHeader })));
}

export async function isToldWhichKeyIsMissing() {
  for (const [parameters, place] of [[{}, "payload.Authorization"], [{ authToken: "a.b.c" }, "payload.authToken"]]) {
    const client = clientOf(new GraphQLWsLink(socket(parameters)));
    const watched = client.subscribe({ query: gql`subscription { accountChanged { kind } }` });
    const error = await collected(watched, (data) => data).then(() => null, (reason) => reason);
    const told = JSON.stringify([error?.message, error?.reason, error?.cause?.reason, error?.code]);
    assert.ok(!CombinedGraphQLErrors.is(error) && told.includes(place), told);
  }
}

export async function persistsASubscription() {
  const ws = new GraphQLWsLink(socket({ authorization }));
  const id = await startJob();
  const client = clientOf(ApolloLink.from([new PersistedQueryLink({ sha256 }), ws]));
  const query = gql(WATCH_JOB.replace("Watch", named()));
  for (let round = 0; round < 2; round += 1) {
    const jobs = await collected(client.subscribe({ query, variables: { id } }), (data) => data.syncJobUpdated);
    expectJob(id, jobs);
  }
}
