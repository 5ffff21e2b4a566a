// Pages in headless Chromium, and what went wrong on them.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

export const [link, outDir, ...names] = process.argv.slice(2);
if (!link || !outDir || !names.length) throw new Error("Usage: node browser.mjs GRAPHIQL_URL OUT_DIR NAME…");
export const { origin, pathname } = new URL(link);
export const authorization = JSON.parse(new URL(link).searchParams.get("headers") ?? "{}").Authorization;
if (!authorization) throw new Error("The link carries no Authorization header.");
const token = authorization.replace(/^Bearer /, "");

const PATIENCE = 20_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const problems = [];
mkdirSync(outDir, { recursive: true });
// Playwright gives each browser it launches a new, empty folder for its user data.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: FLAGS,
});
export async function step(name, work) {
  const before = problems.length;
  try {
    await work();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  console.log(`${problems.length > before ? "failed" : "ok"}  ${name}`);
}

export async function close() {
  await browser.close();
}

export async function screenshot(page, name, options = {}) {
  await page.screenshot({ path: path.join(outDir, `${name}.png`), ...options });
}

// What the API itself says, to whom the link belongs.
export async function ask(query, variables = {}) {
  const response = await fetch(origin + pathname, {
    method: "POST",
    headers: { "content-type": "application/json", authorization },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data;
}

// A page in a browser of its own. `expected`: answers with this status are no problem. `work` gets the page and the
// origins that it may ask.
export async function withPage({ colorScheme = "light", expected, viewport = { width: 1440, height: 900 } }, work) {
  const context = await browser.newContext({ colorScheme, viewport });
  const origins = new Set([origin]);
  context.setDefaultTimeout(PATIENCE);
  await context.route(
    (url) => !origins.has(url.origin) && url.protocol !== "data:",
    (route) => {
      problems.push(`asked another server: ${route.request().url()}`);
      return route.abort();
    },
  );
  const page = await context.newPage();
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) problems.push(`asked another server: ${socket.url()}`);
  });
  page.on("pageerror", (error) => problems.push(`error on the page: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" || (expected && message.text().includes(expected))) return;
    problems.push(`error in the console: ${message.text()} (${withoutToken(message.location().url)})`);
  });
  try {
    await work(page, origins);
  } finally {
    await context.close();
  }
}

export async function open(page, url) {
  await page.goto(url);
  await page.locator(".graphiql-query-editor .CodeMirror").waitFor();
  await page.evaluate(() => document.fonts.ready);
}

export async function run(page, texts) {
  // GraphiQL ignores the button until the schema is there.
  await page.locator(".graphiql-spinner").waitFor({ state: "detached" });
  await page.locator(".graphiql-execute-button").click();
  try {
    // The editor draws only the lines in sight; its value has them all.
    await page.waitForFunction((expected) => {
      const value = document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue() ?? "";
      return expected.every((text) => value.includes(text));
    }, texts);
  } catch {
    const value = await page.evaluate(() => document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue());
    throw new Error(`The response pane never showed ${texts.join(", ")}. It shows: ${value?.slice(0, 500)}`);
  }
  // And somebody sees it.
  await page.locator(".result-window .CodeMirror-line", { hasText: texts[0] }).first().waitFor();
}

export async function openPlugin(page, name) {
  await page.locator(`.graphiql-sidebar button[aria-label="Show ${name}"]`).click();
}

export async function expectText(page, selector, text) {
  await page.locator(selector, { hasText: text }).waitFor();
}

export async function expectNoToken(page) {
  await page.waitForTimeout(1_000); // GraphiQL stores half a second after the last change
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  if (stored.includes(token)) throw new Error("The token is in the browser's storage.");
}

function withoutToken(text) {
  return text.replaceAll(token, "…").replace(/headers=[^&]*/, "headers=…");
}
