// How a dataset is read: a declaration is proposed, shown with what speaks for it, and used.

import { answered, ask, element, showRefusal } from "./service.js";

export function start(place) {
  place.querySelector("[data-propose-now]")?.addEventListener("click", () => propose(place));
  place.querySelector("[data-declare]")?.addEventListener("click", () => declare(place));
  if ("propose" in place.dataset) propose(place);
}

async function propose(place) {
  const shown = place.querySelector(".proposal");
  const refused = place.querySelector(".refused");
  refused.replaceChildren();
  shown.replaceChildren(element("p", "A worker looks at the data and at the model's inputs."));
  try {
    const { reading: dataset, model } = place.dataset;
    const { body } = await answered(await ask("POST", "v1/datasets/propose?wait=25", { json: { model, dataset } }));
    show(place, shown, body);
  } catch (error) {
    shown.replaceChildren();
    showRefusal(refused, error);
  }
}

function show(place, shown, proposal) {
  const list = element("ul");
  list.append(...proposal.parts.map(partOf));
  const said = proposal.sure ? "Proposed, and seen to be right:" : "Proposed; look at what is marked as a guess:";
  shown.replaceChildren(element("p", said), list, ...proposal.notes.map((note) => element("p", note, { class: "note" })));
  place.querySelector("textarea").value = JSON.stringify(withoutNull(proposal.declaration), null, 2);
}

function partOf(part) {
  const line = element("li");
  line.append(element("code", part.path), ` ${part.sure ? "" : "(a guess) "}${part.because}`);
  return line;
}

function withoutNull(value) {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, it]) => it !== null).map(([name, it]) => [name, withoutNull(it)]),
  );
}

async function declare(place) {
  const refused = place.querySelector(".refused");
  refused.replaceChildren();
  try {
    const declaration = JSON.parse(place.querySelector("textarea").value);
    await ask("PATCH", `v1/datasets/${place.dataset.reading}?wait=25`, { json: { declaration } });
    location.reload();
  } catch (error) {
    showRefusal(refused, error instanceof SyntaxError ? new Error(`No JSON: ${error.message}`) : error);
  }
}
