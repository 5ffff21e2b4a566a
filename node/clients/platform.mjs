// What is no GraphQL client: a kubelet that asks by the pod's address.
import http from "node:http";
import { assert, url } from "./api.mjs";

const ask = (path, options) =>
  new Promise((resolve, reject) => {
    const request = http.request(new URL(path, url), options, (response) => {
      let body = "";
      response.on("data", (piece) => (body += piece));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    request.on("error", reject);
    request.end();
  });

export async function probesByAddress() {
  const headers = { host: "10.1.2.3:8000", "user-agent": "kube-probe/1.31" };
  for (const path of ["/livez", "/readyz", "/metrics"]) assert.equal((await ask(path, { headers })).status, 200);
  assert.equal((await ask("/graphql", { headers })).status, 400);
}
