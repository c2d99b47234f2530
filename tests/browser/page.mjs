// The simulator's page in a real browser: every kind of cell edited, a row duplicated, trashed and restored. Exits
// non-zero on the first thing that is not so, or when the page logs an error.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { base_url, root_page_id, tokens } = JSON.parse(process.argv[2]);
const step = (name) => console.log(`browser: ${name}`);

async function api(method, path, body) {
  const answer = await fetch(`${base_url}/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${tokens[0]}`, "notion-version": "2026-03-11", "content-type": "application/json",
    },
    body: body && JSON.stringify(body),
  });
  const json = await answer.json();
  assert.equal(answer.status, 200, `${method} ${path}: ${json.message}`);
  return json;
}

const text = (content) => [{ type: "text", text: { content } }];
const hostile = `<img src=x onerror="document.title='owned'"> & "Ada"`;
const database = await api("POST", "databases", {
  parent: { type: "page_id", page_id: root_page_id },
  title: text("Students"),
  initial_data_source: {
    properties: {
      Name: { title: {} }, Note: { rich_text: {} }, Credits: { number: {} }, Lead: { checkbox: {} },
      Joined: { date: {} },
      State: { select: { options: [{ name: "active", color: "green" }, { name: "left", color: "gray" }] } },
    },
  },
});
const source = database.data_sources[0].id;
const row = await api("POST", "pages", {
  parent: { type: "data_source_id", data_source_id: source },
  properties: {
    Name: { title: text(hostile) }, Credits: { number: 3 }, State: { select: { name: "active" } },
  },
});
const rows = async () => (await api("POST", `data_sources/${source}/query`, {})).results;
const value = async (name) => (await api("GET", `pages/${row.id}`)).properties[name];

const browser = await chromium.launch({
  executablePath: process.argv[3],
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(10_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));

  step("what is there is shown, and markup in it is text");
  await page.goto(base_url);
  assert.equal(await page.locator("h2").count(), 1);
  const headers = await page.locator("thead th").allTextContents();
  const cell = (name, of = row.id) =>
    page.locator(`tr[data-page="${of}"] td`).nth(headers.indexOf(name)).locator("input, select");
  assert.equal(await cell("Name").inputValue(), hostile);
  assert.equal(await page.title(), "Notion simulator");
  assert.equal(await page.locator("img").count(), 0);

  // An edit is sent when the cell is left, and the page comes again with what is in the workspace then.
  const reloaded = async (act) => {
    const load = page.waitForEvent("load");
    await act();
    await load;
  };
  const type = (name, typed) =>
    reloaded(async () => {
      await cell(name).fill(typed);
      await cell(name).press("Tab");
    });

  step("edit a cell of every kind");
  await type("Name", "Ada Byron");
  assert.equal((await value("Name")).title[0].plain_text, "Ada Byron");
  await type("Note", "  kept as typed  ");
  assert.equal((await value("Note")).rich_text[0].plain_text, "  kept as typed  ");
  await type("Credits", "4.5");
  assert.equal((await value("Credits")).number, 4.5);
  await type("Joined", "2026-09-04");
  assert.equal((await value("Joined")).date.start, "2026-09-04");
  await reloaded(() => cell("Lead").check());
  assert.equal((await value("Lead")).checkbox, true);
  await reloaded(() => cell("State").selectOption("left"));
  assert.equal((await value("State")).select.name, "left");
  await type("Credits", "");
  assert.equal((await value("Credits")).number, null);
  assert.equal(await cell("Name").inputValue(), "Ada Byron");
  const person = (await api("GET", `pages/${row.id}`)).last_edited_by.id;
  assert.notEqual(person, (await api("GET", "users/me")).id, "a person edits, not the connection");

  step("what the workspace refuses is told, and nothing is lost");
  await cell("Joined").fill("not a date");
  await cell("Joined").press("Tab");
  await page.locator("#problem").waitFor({ state: "visible" });
  assert.match(await page.locator("#problem").textContent(), /date/);
  assert.equal((await value("Joined")).date.start, "2026-09-04");
  assert.ok(errors.every((error) => error.includes("400")), errors.join("\n"));
  errors.length = 0;
  await page.goto(base_url);

  step("add and duplicate");
  await reloaded(() => page.locator("button[data-add]").click());
  assert.equal((await rows()).length, 2);
  await reloaded(() => page.locator(`tr[data-page="${row.id}"] button[data-do="duplicate"]`).click());
  const now = await rows();
  assert.equal(now.length, 3);
  const copies = now.filter((copy) => copy.properties.Name.title[0]?.plain_text.includes("Ada Byron"));
  assert.equal(copies.length, 2);

  step("trash and restore");
  await reloaded(() => page.locator(`tr[data-page="${row.id}"] button[data-do="trash"]`).click());
  assert.equal((await api("GET", `pages/${row.id}`)).in_trash, true);
  assert.equal(await page.locator(`tr[data-page="${row.id}"]`).count(), 0);
  await page.locator("summary").click();
  await reloaded(() => page.locator(`li[data-page="${row.id}"] button[data-do="restore"]`).click());
  assert.equal((await api("GET", `pages/${row.id}`)).in_trash, false);
  assert.equal(await cell("Name").inputValue(), "Ada Byron");
  assert.equal((await rows()).length, 3);

  assert.deepEqual(errors, []);
  await page.screenshot({ path: new URL("page.png", import.meta.url).pathname });
  step("all as it should be");
} finally {
  await browser.close();
}
