// From GraphiQL's example over the server's page and the sandbox's consent page to the server's callback; and the sandbox's own page.
import { ask, link, open, origin, run, screenshot, withPage } from "./pages.mjs";

const ACCOUNT = `query Connected($name: String!) {
  accounts(first: 1, filter: { search: $name }) { edges { node { id tiktokUserId status missingScopes avatarUrl } } }
}`;

export async function connects() {
  await withPage({}, async (page, origins) => {
    await goesToConsent(page, origins);
    const person = page.locator("label.person").filter({ hasNotText: "Connected" }).nth(1);
    await person.click();
    const name = (await person.locator("b").textContent()).replace("✓", "").trim();
    await page.locator("label.scope", { hasText: "user.info.stats" }).click();
    await screenshot(page, "consent");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "consent-dark");
    await page.setViewportSize({ width: 390, height: 844 });
    await screenshot(page, "consent-phone");
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    await page.getByRole("button", { name: "Allow" }).click();
    await expectCallback(page, "Connected", `${name} is connected.`);
    await screenshot(page, "connected");
    const account = await found(name);
    if (account.missingScopes.join() !== "user.info.stats") throw new Error(`It lacks ${account.missingScopes}.`);
    if (!(await pictureOf(account)).startsWith("image/png")) throw new Error("Its picture is not the sandbox's.");
  });
}

export async function denies() {
  await withPage({ expected: "400" }, async (page, origins) => {
    await goesToConsent(page, origins);
    await page.getByRole("button", { name: "Deny" }).click();
    await expectCallback(page, "Not connected", "");
    await screenshot(page, "denied");
  });
}

export async function showsTheSandbox() {
  await withPage({}, async (page, origins) => {
    const sandbox = await goesToConsent(page, origins);
    await page.goto(`${sandbox}/sandbox/`);
    await page.locator("select[name=kind]").selectOption("reply_lost");
    await page.locator("input[name=times]").fill("1");
    await page.getByRole("button", { name: "Add fault" }).click();
    await page.locator("li", { hasText: "reply_lost" }).waitFor();
    const row = page.locator("tr", { hasText: "person-" }).first();
    const openId = (await row.locator(".who small").textContent()).trim();
    await row.getByRole("button", { name: "Ban" }).click();
    await page.locator("li", { hasText: openId }).filter({ hasText: "200" }).waitFor();
    await screenshot(page, "sandbox");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "sandbox-dark");
    await page.getByRole("button", { name: "Clear all" }).click();
    await page.getByText("Every call is answered as it should be.").waitFor();
    await expectInactive(openId);
  });
}

// Returns the sandbox's origin.
async function goesToConsent(page, origins) {
  await open(page, link);
  await page.getByRole("link", { name: "Connect an account", exact: true }).click();
  await page.waitForFunction(() => document.querySelector('#examples a[aria-current="true"]')?.text === "Connect an account");
  await page.waitForTimeout(300); // as long as GraphiQL needs to note the edit
  await run(page, ["authorizationUrl", "/oauth/tiktok/start"]);
  const shown = await page.evaluate(() => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue());
  const { authorizationUrl } = JSON.parse(shown).data.startAccountAuthorization;
  const start = await page.goto(authorizationUrl);
  await page.getByText("alice", { exact: true }).waitFor();
  await screenshot(page, "start");
  const [, sandbox] = start.headers()["content-security-policy"].match(/form-action 'self' https: ([^ ;]+)/);
  origins.add(sandbox);
  await page.getByRole("button", { name: "Continue to TikTok" }).click();
  await page.waitForURL((url) => url.origin === sandbox);
  return sandbox;
}

async function expectCallback(page, title, text) {
  await page.waitForURL((url) => url.origin === origin && url.pathname === "/oauth/tiktok/callback");
  await page.getByRole("heading", { name: title, exact: true }).waitFor();
  if (text) await page.getByText(text).waitFor();
}

async function found(name) {
  const { accounts } = await ask(ACCOUNT, { name });
  return accounts.edges[0].node;
}

async function pictureOf({ avatarUrl }) {
  return (await fetch(avatarUrl)).headers.get("content-type");
}

// The server processes a webhook soon after it took it.
async function expectInactive(openId) {
  const query = "{ accounts(first: 50, filter: { status: [INACTIVE] }) { edges { node { tiktokUserId health { reason } } } } }";
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const { accounts } = await ask(query);
    if (accounts.edges.some(({ node }) => node.tiktokUserId === openId)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`The server never heard that ${openId} was banned.`);
}
