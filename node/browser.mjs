// GraphiQL in headless Chromium, as somebody sees it who opens the demo's link, with no network but the server.
// Usage: node browser.mjs GRAPHIQL_URL OUT_DIR NAME…   (the names that the answer to the link's query has to show)
// CHROMIUM names the browser's program; without it /usr/bin/chromium is taken.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

const [link, outDir, ...names] = process.argv.slice(2);
if (!link || !outDir || !names.length) throw new Error("Usage: node browser.mjs GRAPHIQL_URL OUT_DIR NAME…");
const { origin, pathname } = new URL(link);
const authorization = JSON.parse(new URL(link).searchParams.get("headers") ?? "{}").Authorization;
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

const problems = [];
mkdirSync(outDir, { recursive: true });
// Playwright gives each browser it launches a new, empty folder for its user data.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: FLAGS,
});
try {
  await step("light", () => runsTheLink("light"));
  await step("dark", () => runsTheLink("dark"));
  await step("an example, clicked", clicksAnExample);
  await step("an example, as a link", opensAnExample);
  await step("a token, put in by hand", opensWithoutToken);
} finally {
  await browser.close();
}
for (const problem of problems) console.error(problem);
console.log(`${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;

async function step(name, work) {
  const before = problems.length;
  try {
    await work();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  console.log(`${problems.length > before ? "failed" : "ok"}  ${name}`);
}

async function runsTheLink(colorScheme) {
  await withPage({ colorScheme }, async (page) => {
    await open(page, link);
    await run(page, names);
    await expectText(page, "#signed-in", "Signed in as alice");
    await page.screenshot({ path: path.join(outDir, `page-${colorScheme}.png`) });
    await openPlugin(page, "Documentation Explorer");
    await page.locator(".graphiql-doc-explorer-root-type").first().waitFor();
    await openPlugin(page, "GraphiQL Explorer");
    await page.locator(".graphiql-explorer-root").first().waitFor();
    await page.screenshot({ path: path.join(outDir, `explorer-${colorScheme}.png`) });
    await expectNoToken(page);
  });
}

async function clicksAnExample() {
  await withPage({}, async (page) => {
    await open(page, link);
    await page.locator("#examples a", { hasText: "Account detail" }).click();
    await page.waitForFunction(() => document.querySelector('#examples a[aria-current="true"]')?.text === "Account detail");
    await page.waitForTimeout(300); // GraphiQL notes an edit a tenth of a second later; nobody clicks sooner
    await run(page, ["tiktokUserId", "statsHistory"]);
    await page.screenshot({ path: path.join(outDir, "example-clicked.png") });
    if (page.url() !== new URL(link).href) throw new Error("The click rewrote the address.");
    await expectNoToken(page);
  });
}

async function opensAnExample() {
  await withPage({}, async (page) => {
    await open(page, link);
    const href = await page.locator("#examples a", { hasText: "Sync an account" }).evaluate((example) => example.href);
    await open(page, href);
    await run(page, ["syncAccount", '"success": true', '"userErrors": []']);
    await page.screenshot({ path: path.join(outDir, "example-opened.png") });
  });
}

async function opensWithoutToken() {
  await withPage({ refused: true }, async (page) => {
    await open(page, origin + pathname);
    await expectText(page, "#signed-in", "No token in the headers tab");
    await page.screenshot({ path: path.join(outDir, "no-token.png") });
    const editor = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror");
    await editor.evaluate((node, headers) => node.CodeMirror.setValue(headers), JSON.stringify({ authorization }));
    await expectText(page, "#signed-in", "Signed in as alice");
    await run(page, names);
    await openPlugin(page, "Documentation Explorer");
    await page.locator(".graphiql-doc-explorer-root-type").first().waitFor();
    await expectNoToken(page);
  });
}

// A page in a browser of its own. `refused`: answers with 401 are what is expected.
async function withPage({ colorScheme = "light", refused = false }, work) {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(PATIENCE);
  await context.route(
    (url) => url.origin !== origin,
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
    if (message.type() !== "error" || (refused && message.text().includes("401"))) return;
    problems.push(`error in the console: ${message.text()} (${withoutToken(message.location().url)})`);
  });
  try {
    await work(page);
  } finally {
    await context.close();
  }
}

async function open(page, url) {
  await page.goto(url);
  await page.locator(".graphiql-query-editor .CodeMirror").waitFor();
  await page.evaluate(() => document.fonts.ready);
}

async function run(page, texts) {
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

async function openPlugin(page, name) {
  await page.locator(`.graphiql-sidebar button[aria-label="Show ${name}"]`).click();
}

async function expectText(page, selector, text) {
  await page.locator(selector, { hasText: text }).waitFor();
}

async function expectNoToken(page) {
  await page.waitForTimeout(1_000); // GraphiQL stores half a second after the last change
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  if (stored.includes(token)) throw new Error("The token is in the browser's storage.");
}

function withoutToken(text) {
  return text.replaceAll(token, "…").replace(/headers=[^&]*/, "headers=…");
}
