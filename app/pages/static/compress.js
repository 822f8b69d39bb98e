// A job put together: data, what is required, and how; held against the service while it is written, then sent.

import { start as startRecipe } from "./recipe.js";
import { address, ask, element, showRefusal } from "./service.js";

const PAUSE = 500;
const OPEN = /"(any_of|between)"|"optional"\s*:\s*true/;

export function start(form) {
  let due, asked = 0;
  const check = () => {
    clearTimeout(due);
    due = setTimeout(() => tell(form, ++asked, () => asked), PAUSE);
  };
  const changed = () => {
    showWhatIsNeeded(form);
    check();
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form);
  });
  startRecipe(form, changed);
  changed();
}

const chosen = (form, name) => form.querySelector(`input[name=${name}]:checked`);

function searches(form) {
  const way = chosen(form, "way").value;
  if (way === "preset") return "searches" in (chosen(form, "preset")?.dataset ?? {});
  return way === "auto" || OPEN.test(form.querySelector("#recipe").value);
}

function showWhatIsNeeded(form) {
  const way = chosen(form, "way").value;
  for (const part of form.querySelectorAll("[data-for]")) {
    const isShown = part.dataset.for === "search" ? searches(form) : part.dataset.for === way;
    part.hidden = part.disabled = !isShown;
  }
}

/** The body of POST /v1/jobs. Throws SyntaxError where the recipe is no JSON. */
function request(form) {
  const { data, judges } = form.elements;
  const made = { model: form.dataset.model, recipe: recipe(form), require: required(form), ...target(form), benchmark: benchmark(form) };
  const name = form.querySelector("#name").value.trim();
  if (name) made.name = name;
  if (data) made.data = JSON.parse(data.value);
  if (judges) made.evaluation = evaluation(form);
  if (form.querySelector("#explain")?.checked) made.explain = true;
  if (searches(form)) made.search = search(form);
  return made;
}

function recipe(form) {
  const way = chosen(form, "way").value;
  if (way === "auto") return { auto: {} };
  if (way === "preset") return { preset: chosen(form, "preset").value };
  return JSON.parse(form.querySelector("#recipe").value);
}

function required(form) {
  const fields = [...form.querySelectorAll("[data-requirement]")].filter((field) => field.value !== "" && !field.disabled);
  return Object.fromEntries(fields.map((field) => [field.name, Number(field.value)]));
}

function evaluation(form) {
  const [task, metric] = (form.querySelector("#metric").value || "auto").split("/");
  return metric ? { task, metric } : { task };
}

function target(form) {
  const features = [...form.querySelectorAll("[data-feature]:checked")].map((field) => field.value);
  const [target, precision] = ["target", "precision"].map((name) => form.querySelector(`#${name}`).value);
  return { target, precision, ...(features.length ? { target_features: features } : {}) };
}

function benchmark(form) {
  const [size, threads] = ["batch_size", "threads"].map((name) => form.querySelector(`#${name}`).value);
  return { ...(size ? { batch_sizes: [Number(size)] } : {}), ...(threads ? { threads: Number(threads) } : {}) };
}

function search(form) {
  const budget = {};
  for (const name of ["seconds", "trials"]) {
    const value = form.querySelector(`#${name}`).value;
    if (value) budget[name] = Number(value);
  }
  return { objective: form.querySelector("#objective").value, budget };
}

/** What the service would say to it, without sending it. A later question's answer wins. */
async function tell(form, mine, last) {
  const place = form.querySelector(".check");
  try {
    const { body } = await ask("POST", "v1/jobs?dry_run=true", { json: request(form) });
    if (mine !== last()) return;
    if (body.fits) place.replaceChildren(element("p", `It fits. ${body.forecast?.basis ?? ""}`, { class: "fits" }), ...sizes(body));
    else place.replaceChildren(element("p", "It would be refused:"), listOf(body.problems.map((it) => it.detail)));
  } catch (error) {
    if (mine === last()) showRefusal(place, readable(error));
  }
}

function sizes(told) {
  const steps = (told.forecast?.steps ?? []).filter((step) => step.size_bytes !== null);
  return steps.length ? [listOf(steps.map((step) => `${step.kind}: about ${step.size_bytes.toLocaleString("en")} bytes`))] : [];
}

function listOf(sentences) {
  const list = element("ul");
  list.append(...sentences.map((sentence) => element("li", sentence)));
  return list;
}

const readable = (error) =>
  error instanceof SyntaxError ? new Error(`The recipe is no JSON yet: ${error.message}`) : error;

async function submit(form) {
  const refused = form.querySelector(":scope > .refused");
  const button = form.querySelector("button[type=submit]");
  refused.replaceChildren();
  button.disabled = true;
  try {
    const headers = { "Idempotency-Key": (form.dataset.key ??= crypto.getRandomValues(new Uint32Array(4)).join("-")) };
    const { body } = await ask("POST", "v1/jobs", { json: request(form), headers });
    location.assign(address(`jobs/${body.id}`));
  } catch (error) {
    if (error.status) delete form.dataset.key;
    showRefusal(refused, readable(error));
    button.disabled = false;
  }
}
