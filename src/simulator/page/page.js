"use strict";

const problem = document.getElementById("problem");

async function act(action) {
  const answer = await fetch("/_simulator/act", { method: "POST", body: JSON.stringify(action) });
  if (answer.ok) {
    location.reload();
    return;
  }
  problem.textContent = (await answer.json()).error;
  problem.hidden = false;
}

// What was typed, in the shape of an API write.
function written(type, input) {
  const text = input.value.trim();
  switch (type) {
    case "title":
    case "rich_text":
      return { [type]: text === "" ? [] : [{ text: { content: input.value } }] };
    case "number":
      return { number: text === "" ? null : Number(text) };
    case "checkbox":
      return { checkbox: input.checked };
    case "date":
      return { date: text === "" ? null : { start: text } };
    case "select":
    case "status":
      return { [type]: text === "" ? null : { name: text } };
    case "multi_select":
      return { multi_select: text.split(",").map((name) => ({ name: name.trim() })).filter((option) => option.name) };
    default:
      return { [type]: text === "" ? null : text };
  }
}

document.addEventListener("change", (event) => {
  const cell = event.target.closest("td[data-property]");
  if (!cell) return;
  const page = cell.closest("[data-page]").dataset.page;
  act({ do: "edit", page, properties: { [cell.dataset.property]: written(cell.dataset.type, event.target) } });
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.add) act({ do: "add_row", data_source: button.dataset.add, properties: {} });
  if (button.dataset.do) act({ do: button.dataset.do, page: button.closest("[data-page]").dataset.page });
});
