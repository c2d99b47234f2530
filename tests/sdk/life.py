"""The Python SDK as a second witness: it shares no code with the JavaScript one."""

import json
import sys
import urllib.request

from notion_client import APIErrorCode, APIResponseError, Client
from notion_client.helpers import collect_paginated_api, iterate_paginated_api

ready = json.loads(sys.argv[1])
api = Client(auth=ready["tokens"][0], base_url=ready["base_url"], notion_version="2026-03-11", log_level=50)


def text(content):
    return [{"type": "text", "text": {"content": content}}]


def act(action):
    request = urllib.request.Request(ready["base_url"] + "/_simulator/act", json.dumps(action).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except APIResponseError as error:
        assert error.code == code, (error.code, str(error))
        return error
    raise AssertionError(f"expected {code}")


assert api.users.me()["type"] == "bot"
database = api.databases.create(
    parent={"type": "page_id", "page_id": ready["root_page_id"]},
    title=text("Teams"),
    initial_data_source={"properties": {"Name": {"title": {}}, "Size": {"number": {}}, "State": {"select": {"options": []}}}},
)
source = database["data_sources"][0]["id"]
pages = [
    api.pages.create(
        parent={"type": "data_source_id", "data_source_id": source},
        properties={"Name": {"title": text(f"Team {number}")}, "Size": {"number": number}, "State": {"select": {"name": "new"}}},
    )
    for number in range(12)
]
rows = collect_paginated_api(api.data_sources.query, data_source_id=source, page_size=5)
assert [row["id"] for row in rows] == [page["id"] for page in pages]
found = api.data_sources.query(data_source_id=source, filter={"property": "Name", "title": {"equals": "Team 7"}})
assert [row["id"] for row in found["results"]] == [pages[7]["id"]]
assert len({page["properties"]["State"]["select"]["id"] for page in pages}) == 1

first = pages[0]["id"]
changed = api.pages.update(page_id=first, properties={"Size": {"number": 99}})
assert changed["properties"]["Size"]["number"] == 99
item = api.pages.properties.retrieve(page_id=first, property_id=changed["properties"]["Size"]["id"])
assert item["number"] == 99
assert api.pages.update(page_id=first, in_trash=True)["in_trash"] is True
assert len(list(iterate_paginated_api(api.data_sources.query, data_source_id=source))) == 11
refused(APIErrorCode.ValidationError, api.pages.update, page_id=first, properties={"Size": {"number": 1}})
assert api.pages.update(page_id=first, in_trash=False)["in_trash"] is False

# A person edits meanwhile.
act({"do": "edit", "page": first, "properties": {"Name": {"title": text("Renamed")}}})
assert api.pages.retrieve(page_id=first)["properties"]["Name"]["title"][0]["plain_text"] == "Renamed"
copy = act({"do": "duplicate", "page": first})["id"]
assert api.pages.retrieve(page_id=copy)["properties"]["Size"]["number"] == 99

act({"do": "unshare", "id": database["id"]})
refused(APIErrorCode.ObjectNotFound, api.pages.retrieve, page_id=first)
act({"do": "share", "id": database["id"]})
assert api.pages.retrieve(page_id=first)["id"] == first
refused(APIErrorCode.Unauthorized, Client(auth="ntn_wrong", base_url=ready["base_url"], log_level=50).users.me)
print("python: done")
