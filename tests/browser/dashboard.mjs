// The pages of `serve` in a real browser: what a browser sends of itself (Origin, Sec-Fetch-Site, cookies) decides whether
// a form is taken, and no client written for a test sends just that. Exits non-zero on the first thing that is not so.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, executablePath, operator, viewer] = process.argv.slice(2);
const step = (name) => console.log(`browser: ${name}`);

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  const errors = [];
  const open = async (viewport) => {
    const page = await (await browser.newContext({ viewport })).newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => errors.push(error.message));
    return page;
  };
  const logIn = async (page, token) => {
    await page.goto(`${base}/`);
    assert.equal(new URL(page.url()).pathname, "/login");
    await page.fill("#token", token);
    await page.click("button.main");
  };
  const fits = async (page, what) => {
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${what} is ${content} wide in a window of ${window}`);
  };

  step("a wrong token is told");
  const page = await open({ width: 1200, height: 800 });
  await logIn(page, "no token at all");
  await page.getByText("none of this server's tokens").waitFor();

  step("an operator logs in, asks for a sync, and logs out");
  await logIn(page, operator);
  await page.getByText("Log out").waitFor();
  await page.getByRole("button", { name: "Sync now" }).first().click();
  await page.getByText("A sync has been asked for").waitFor();
  await page.getByText("Log out").click();
  await page.waitForURL(`${base}/login`);

  step("a viewer sees the same and no button, on a telephone too");
  const small = await open({ width: 390, height: 800 });
  await logIn(small, viewer);
  await small.getByText("viewer", { exact: true }).waitFor();
  assert.equal(await small.getByRole("button").count(), 1, "but for the log-out");
  await fits(small, "the overview");
  await small.getByRole("link", { name: "calpoly" }).first().click();
  await small.getByRole("heading", { name: "Latest changes" }).waitFor();
  await fits(small, "a profile's page");
  assert.deepEqual(errors, []);
} finally {
  await browser.close();
}
