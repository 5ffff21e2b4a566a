// Real clients against a running server. Usage: node clients.mjs URL TOKEN
import * as apollo from "./clients/apollo.mjs";
import * as platform from "./clients/platform.mjs";
import * as relay from "./clients/relay.mjs";
import * as sse from "./clients/sse.mjs";
import * as urql from "./clients/urql.mjs";

const SECONDS = 60;
let failures = 0;

async function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${SECONDS} s`)), SECONDS * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for (const [client, checks] of Object.entries({ apollo, urql, sse, relay, platform })) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await within(check());
      console.log(`ok      ${client} ${name}`);
    } catch (error) {
      failures += 1;
      console.error(`FAILED  ${client} ${name}:`, error);
    }
  }
}
process.exit(failures ? 1 : 0);
