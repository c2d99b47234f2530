// The official JS SDK through a whole life with the simulator. Exits non-zero on the first thing that is not as
// Notion's documentation says.
import assert from "node:assert/strict";
import notion from "@notionhq/client";

const {
  Client, LogLevel, iteratePaginatedAPI, collectPaginatedAPI, collectAllDataSourceRows, collectDataSourceTemplates,
  isFullPage, isFullDataSource, isFullDatabase, isFullView, isFullUser, isFullBlock, APIResponseError,
} = notion;

const { base_url, root_page_id, tokens } = JSON.parse(process.argv[2]);
const quiet = { logLevel: LogLevel.ERROR, logger: () => {} };
const client = (extra) =>
  new Client({ auth: tokens[0], baseUrl: base_url, notionVersion: "2026-03-11", ...quiet, ...extra });
const api = client({ retry: false });

async function simulator(method, path, body) {
  const answer = await fetch(`${base_url}/_simulator/${path}`, { method, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200, `${method} ${path}: ${await answer.clone().text()}`);
  return answer.json();
}

const fault = (effect, when = {}) => simulator("POST", "faults", { when: { nth: 1, ...when }, effect });

async function refused(status, code, promise, message) {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.status, status, error.message);
    if (code) {
      assert.ok(error instanceof APIResponseError, error.name);
      assert.equal(error.code, code);
    }
    if (message) assert.match(error.message, message);
    return error;
  }
  assert.fail(`expected ${status} ${code}`);
}

const text = (content) => [{ type: "text", text: { content } }];
const step = (name) => console.log(`js: ${name}`);

step("users");
const me = await api.users.me({});
assert.ok(isFullUser(me));
assert.equal(me.type, "bot");
assert.ok((await collectPaginatedAPI(api.users.list, {})).some((user) => user.type === "person"));

step("create databases");
const database = await api.databases.create({
  parent: { type: "page_id", page_id: root_page_id },
  title: text("Students"),
  icon: { type: "emoji", emoji: "🎓" },
  initial_data_source: {
    properties: {
      Name: { title: {} },
      Note: { rich_text: {} },
      Credits: { number: { format: "number" } },
      State: { select: { options: [{ name: "active", color: "green" }, { name: "left", color: "gray" }] } },
      Tags: { multi_select: { options: [] } },
      Phase: { status: {} },
      Due: { date: {} },
      Owner: { people: {} },
      Docs: { files: {} },
      Done: { checkbox: {} },
      Web: { url: {} },
      Mail: { email: {} },
      Tel: { phone_number: {} },
      Twice: { formula: { expression: 'prop("Credits") * 2' } },
      No: { unique_id: { prefix: "STU" } },
      Made: { created_time: {} },
      By: { last_edited_by: {} },
    },
  },
});
assert.ok(isFullDatabase(database));
const data_source_id = database.data_sources[0].id;
const courses = await api.databases.create({
  parent: { type: "page_id", page_id: root_page_id },
  title: text("Courses"),
  initial_data_source: { properties: { Title: { title: {} }, Points: { number: {} } } },
});
const course_source = courses.data_sources[0].id;
const schema = await api.dataSources.update({
  data_source_id,
  properties: {
    Courses: { relation: { data_source_id: course_source, type: "dual_property", dual_property: { synced_property_name: "Students" } } },
    "Courses total": { rollup: { relation_property_name: "Courses", rollup_property_name: "Points", function: "sum" } },
    Mail: { name: "E-mail" },
  },
});
assert.ok(isFullDataSource(schema));
assert.equal(schema.properties["E-mail"].type, "email");
const mirror = await api.dataSources.retrieve({ data_source_id: course_source });
assert.equal(mirror.properties.Students.relation.data_source_id, data_source_id);

step("pages");
const course_ids = [];
for (let number = 0; number < 30; number += 1) {
  const course = await api.pages.create({
    parent: { type: "data_source_id", data_source_id: course_source },
    properties: { Title: { title: text(`Course ${number}`) }, Points: { number } },
  });
  course_ids.push(course.id);
}
const ada = await api.pages.create({
  parent: { type: "data_source_id", data_source_id },
  properties: {
    Name: { title: text("Ada Byron") },
    Credits: { number: 42.5 },
    State: { select: { name: "Active" } },
    Tags: { multi_select: [{ name: "new" }, { name: "also new" }] },
    Due: { date: { start: "2026-09-04T14:30:00", time_zone: "Europe/Berlin" } },
    Owner: { people: [{ object: "user", id: me.id }] },
    Done: { checkbox: true },
    "E-mail": { email: "ada@example.edu" },
    Courses: { relation: course_ids.map((id) => ({ id })) },
  },
  children: [{ type: "paragraph", paragraph: { rich_text: text("hello") } }],
});
assert.ok(isFullPage(ada));
assert.equal(ada.properties.State.select.name, "active");
assert.equal(ada.properties.Twice.formula.number, 85);
assert.equal(ada.properties.Due.date.start, "2026-09-04T14:30:00.000+02:00");
assert.equal(ada.properties.Phase.status.name, "Not started");
assert.equal(ada.properties.No.unique_id.number, 1);
assert.equal(ada.properties.Courses.relation.length, 25);
assert.equal(ada.properties.Courses.has_more, true);

step("property items");
const related = [];
for await (const item of iteratePaginatedAPI(api.pages.properties.retrieve, {
  page_id: ada.id, property_id: ada.properties.Courses.id, page_size: 7,
})) related.push(item.relation.id);
assert.deepEqual(related.sort(), [...course_ids].sort());
for (const name of Object.keys(ada.properties)) {
  const item = await api.pages.properties.retrieve({ page_id: ada.id, property_id: ada.properties[name].id });
  assert.ok(["property_item", "list"].includes(item.object), name);
}

step("update, and what is refused");
const updated = await api.pages.update({ page_id: ada.id, properties: { Credits: { number: null }, [ada.properties.State.id]: { select: { name: "left" } } } });
assert.equal(updated.properties.Credits.number, null);
assert.equal(updated.properties.State.select.name, "left");
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { Phase: { status: { name: "Nope" } } } }), /status option/);
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { State: { select: { name: "a,b" } } } }), /commas not allowed: a,b/);
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { Grade: { number: 1 } } }), /Grade is not a property that exists/);
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { Name: { title: text("x".repeat(2001)) } } }), /length should be ≤ `2000`, instead was `2001`/);
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { Twice: { formula: {} } } }));

step("trash and restore");
assert.equal((await api.pages.update({ page_id: ada.id, in_trash: true })).in_trash, true);
assert.equal((await api.pages.retrieve({ page_id: ada.id })).in_trash, true);
assert.equal((await api.dataSources.query({ data_source_id })).results.length, 0);
await refused(400, "validation_error", api.pages.update({ page_id: ada.id, properties: { Credits: { number: 1 } } }), /archived/);
const restored = await api.pages.update({ page_id: ada.id, in_trash: false, properties: { Credits: { number: 1 } } });
assert.equal(restored.in_trash, false);
assert.equal(restored.properties.Credits.number, 1);

step("query and paging");
for (let number = 0; number < 120; number += 1) {
  await api.pages.create({ parent: { type: "data_source_id", data_source_id }, properties: { Name: { title: text(`Row ${number}`) }, Credits: { number } } });
}
const rows = await collectPaginatedAPI(api.dataSources.query, { data_source_id, page_size: 50 });
assert.equal(new Set(rows.map((row) => row.id)).size, 121);
const top = await api.dataSources.query({
  data_source_id,
  filter: { and: [{ property: "Credits", number: { greater_than: 100 } }, { property: "Name", title: { starts_with: "Row" } }] },
  sorts: [{ property: "Credits", direction: "descending" }],
  filter_properties: [ada.properties.Credits.id],
});
assert.equal(top.results.length, 19);
assert.deepEqual(Object.keys(top.results[0].properties), ["Credits"]);
assert.equal(top.results[0].properties.Credits.number, 119);
await refused(400, "validation_error", api.dataSources.query({ data_source_id, start_cursor: "bogus" }), /start_cursor provided is invalid: bogus/);
await refused(400, "validation_error", api.dataSources.query({ data_source_id, filter: { property: "Credits", rich_text: { equals: "x" } } }), /database property number does not match filter rich_text/);

step("more rows than one query answers");
await simulator("POST", "settings", { query_results: 100 });
for (let minute = 0; minute < 3; minute += 1) {
  await simulator("POST", "clock", { advance_seconds: 60 });
  for (let number = 0; number < 40; number += 1) {
    await api.pages.create({ parent: { type: "data_source_id", data_source_id: course_source }, properties: { Title: { title: text(`Late ${number}`) } } });
  }
}
const capped = await api.dataSources.query({ data_source_id: course_source });
assert.equal(capped.request_status.type, "incomplete");
assert.equal((await collectAllDataSourceRows(api, { data_source_id: course_source })).length, 150);
await simulator("POST", "settings", { query_results: 10000 });

step("views");
const view = await api.views.create({
  data_source_id, database_id: database.id, name: "By state", type: "board",
  filter: { property: "Credits", number: { greater_than: 100 } },
  configuration: { type: "board", group_by: { type: "select", property_id: ada.properties.State.id, sort: { type: "manual" } } },
});
assert.ok(isFullView(view));
const views = await collectPaginatedAPI(api.views.list, { database_id: database.id });
assert.equal(views.length, 2);
const query = await api.views.queries.create({ view_id: view.id, page_size: 10 });
assert.equal(query.total_count, 19);
assert.equal((await api.views.queries.results({ view_id: view.id, query_id: query.id, start_cursor: query.next_cursor })).results.length, 9);
await api.views.delete({ view_id: view.id });
await refused(400, "validation_error", api.views.delete({ view_id: views.find((other) => other.id !== view.id).id }), /last view/);

step("blocks, comments, search, templates");
const added = await api.blocks.children.append({ block_id: ada.id, children: [{ to_do: { rich_text: text("do it"), checked: true } }] });
assert.ok(isFullBlock(added.results[0]));
assert.equal((await collectPaginatedAPI(api.blocks.children.list, { block_id: ada.id })).length, 2);
const comment = await api.comments.create({ parent: { page_id: ada.id }, rich_text: text("Conflict: see log") });
assert.equal((await api.comments.list({ block_id: ada.id })).results[0].id, comment.id);
assert.ok((await api.search({ query: "students", filter: { property: "object", value: "data_source" } })).results.some((found) => found.id === data_source_id));
assert.equal((await collectDataSourceTemplates(api, { data_source_id })).length, 0);

step("file upload");
const upload = await api.fileUploads.create({ mode: "single_part", filename: "cv.txt", content_type: "text/plain" });
const sent = await api.fileUploads.send({ file_upload_id: upload.id, file: { filename: "cv.txt", data: new Blob(["the file"], { type: "text/plain" }) } });
assert.equal(sent.status, "uploaded");
await api.pages.update({ page_id: ada.id, properties: { Docs: { files: [{ type: "file_upload", file_upload: { id: upload.id }, name: "cv.txt" }] } } });
const once = (await api.pages.retrieve({ page_id: ada.id })).properties.Docs.files[0];
const twice = (await api.pages.retrieve({ page_id: ada.id })).properties.Docs.files[0];
assert.notEqual(once.file.url, twice.file.url);
assert.equal(await (await fetch(once.file.url)).text(), "the file");

step("every error");
await refused(401, "unauthorized", client({ auth: "ntn_wrong", retry: false }).users.me({}), /API token is invalid/);
await refused(404, "object_not_found", api.pages.retrieve({ page_id: "00000000-0000-4000-8000-000000000000" }), /Could not find page with ID/);
await refused(400, "validation_error", api.pages.retrieve({ page_id: "xyz" }), /path.page_id should be a valid uuid/);
await refused(400, "invalid_request_url", api.request({ path: "nowhere", method: "get" }));
await refused(400, "invalid_request_url", client({ retry: false, notionVersion: "2022-06-28" }).dataSources.query({ data_source_id }));
await fault({ type: "conflict" });
await refused(409, "conflict_error", api.pages.retrieve({ page_id: ada.id }));
for (const [status, code] of [[500, "internal_server_error"], [503, "service_unavailable"], [504, "gateway_timeout"]]) {
  await fault({ type: "server_error", status, applied: "no" });
  await refused(status, code, api.pages.retrieve({ page_id: ada.id }));
}
await fault({ type: "server_error", status: 502, applied: "no" });
await refused(502, null, api.pages.retrieve({ page_id: ada.id }));
await fault({ type: "overloaded" });
await refused(529, "service_overload", api.pages.retrieve({ page_id: ada.id }));
await fault({ type: "proxy" });
await refused(403, null, api.pages.retrieve({ page_id: ada.id }));
await fault({ type: "rate_limited", retry_after: 2 });
const limited = await refused(429, "rate_limited", api.pages.retrieve({ page_id: ada.id }));
assert.equal(limited.headers.get("retry-after"), "2");
await fault({ type: "committed" });
const committed = await refused(503, "service_unavailable", api.pages.create({ parent: { page_id: root_page_id }, properties: { title: { title: text("Committed") } } }));
const saved = committed.additional_data.committed_resource_id;
assert.equal((await api.pages.retrieve({ page_id: saved })).properties.title.title[0].plain_text, "Committed");
await fault({ type: "dropped", applied: "no" });
await assert.rejects(api.pages.retrieve({ page_id: ada.id }));

step("its own retry on 429");
await simulator("DELETE", "exchanges");
await fault({ type: "rate_limited", retry_after: 1 });
assert.equal((await client({}).pages.retrieve({ page_id: ada.id })).id, ada.id);
const { counts } = await simulator("GET", "exchanges");
assert.equal(counts["GET /v1/pages/{page_id}"], 2);

step("the version the SDK takes by default");
const older = new Client({ auth: tokens[0], baseUrl: base_url, retry: false, ...quiet });
assert.equal((await older.pages.update({ page_id: ada.id, archived: true })).archived, true);
assert.deepEqual(await simulator("GET", "ignored"), []);
console.log("js: done");
