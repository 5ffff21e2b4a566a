// The audits of graphql-http: does the server keep the GraphQL-over-HTTP specification? Usage: node audit.mjs URL TOKEN
import { auditServer } from "graphql-http";

const AUDITS = 61;

const [url, token] = process.argv.slice(2);
if (!url || !token) throw new Error("Usage: node audit.mjs URL TOKEN");

function fetchAsViewer(input, init = {}) {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${token}`);
  return fetch(input, { ...init, headers });
}

const results = await auditServer({ url, fetchFn: fetchAsViewer });
const failures = results.filter(({ status }) => status !== "ok");
for (const { id, name, status, reason } of failures) console.error(`${status} ${id} ${name}: ${reason}`);
console.log(`${results.length - failures.length} passed, ${failures.length} failed`);
if (results.length !== AUDITS) console.error(`There are ${results.length} audits, not ${AUDITS}.`);
process.exitCode = failures.length || results.length !== AUDITS ? 1 : 0;
