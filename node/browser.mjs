// GraphiQL in headless Chromium, as somebody sees it who opens the demo's link, with no network but the server; then an
// account is connected from there, over the sandbox's consent page.
// Usage: node browser.mjs GRAPHIQL_URL OUT_DIR NAME…   (the names that the answer to the link's query has to show)
// CHROMIUM names the browser's program; without it /usr/bin/chromium is taken.
import { connects, denies, showsTheSandbox } from "./connecting.mjs";
import {
  authorization,
  close,
  expectNoToken,
  expectText,
  link,
  names,
  open,
  openPlugin,
  origin,
  pathname,
  problems,
  run,
  screenshot,
  step,
  withPage,
} from "./pages.mjs";

try {
  await step("light", () => runsTheLink("light"));
  await step("dark", () => runsTheLink("dark"));
  await step("an example, clicked", clicksAnExample);
  await step("an example, as a link", opensAnExample);
  await step("a token, put in by hand", opensWithoutToken);
  await step("an account connected, without its counters", connects);
  await step("a consent denied", denies);
  await step("the sandbox's own page", showsTheSandbox);
} finally {
  await close();
}
for (const problem of problems) console.error(problem);
console.log(`${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;

async function runsTheLink(colorScheme) {
  await withPage({ colorScheme }, async (page) => {
    await open(page, link);
    await run(page, names);
    await expectText(page, "#signed-in", "Signed in as alice");
    await screenshot(page, `page-${colorScheme}`);
    await openPlugin(page, "Documentation Explorer");
    await page.locator(".graphiql-doc-explorer-root-type").first().waitFor();
    await openPlugin(page, "GraphiQL Explorer");
    await page.locator(".graphiql-explorer-root").first().waitFor();
    await screenshot(page, `explorer-${colorScheme}`);
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
    await screenshot(page, "example-clicked");
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
    await screenshot(page, "example-opened");
  });
}

async function opensWithoutToken() {
  await withPage({ expected: "401" }, async (page) => {
    await open(page, origin + pathname);
    await expectText(page, "#signed-in", "No token in the headers tab");
    await screenshot(page, "no-token");
    const editor = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror");
    await editor.evaluate((node, headers) => node.CodeMirror.setValue(headers), JSON.stringify({ authorization }));
    await expectText(page, "#signed-in", "Signed in as alice");
    await run(page, names);
    await openPlugin(page, "Documentation Explorer");
    await page.locator(".graphiql-doc-explorer-root-type").first().waitFor();
    await expectNoToken(page);
  });
}
