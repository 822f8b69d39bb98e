// A recipe written with fields or as text: the text is the recipe, the fields show it and write into it.

import { announce, element } from "./service.js";
import { showFields, templatesOf } from "./setting.js";

/** `changed` is called after each change that was made with a field or a button; the text's own are the form's. */
export function start(form, changed) {
  const text = form.querySelector("#recipe");
  const place = form.querySelector("[data-steps]");
  const write = (recipe) => {
    text.value = JSON.stringify(recipe, null, 2);
    changed();
  };
  const show = () => showRecipe(place, read(text), write);
  text.addEventListener("input", show);
  form.querySelector("[data-add-step]").addEventListener("click", () => {
    const recipe = read(text) ?? { steps: [] };
    recipe.steps.push({ kind: form.querySelector("#kind").value });
    write(recipe);
    showRecipe(place, recipe, write, recipe.steps.length - 1);
  });
  show();
}

/** null while the text is none. */
function read(text) {
  try {
    const recipe = JSON.parse(text.value);
    return Array.isArray(recipe?.steps) && recipe.steps.every(isStep) ? recipe : null;
  } catch {
    return null;
  }
}

const isStep = (step) => step !== null && typeof step === "object" && !Array.isArray(step);

/** All steps, one below the other; the one at `focused` is opened and gets the focus. */
function showRecipe(place, recipe, write, focused = -1) {
  if (!recipe) return place.replaceChildren(element("p", "The text below is no recipe yet.", { class: "hint" }));
  const again = (at, said) => {
    write(recipe);
    showRecipe(place, recipe, write, at);
    announce(said);
  };
  const wereOpen = [...place.querySelectorAll(".steps > li > details")].map((it) => it.open);
  const isOpen = (at) => (focused >= 0 ? at === focused : (wereOpen[at] ?? recipe.steps.length === 1));
  const list = element("ol", "", { class: "steps" });
  list.append(...recipe.steps.map((step, at) => shownStep(step, at, recipe, () => write(recipe), again)));
  [...list.children].forEach((item, at) => (item.querySelector("details").open = isOpen(at)));
  place.replaceChildren(list);
  list.children[focused]?.querySelector("summary").focus();
}

function shownStep(step, at, recipe, changed, again) {
  const { steps } = recipe;
  const item = element("li");
  const box = element("details");
  const fields = element("div", "", { class: "settings" });
  const does = element("p", "", { class: "hint" });
  const move = (to) => {
    steps.splice(to, 0, ...steps.splice(at, 1));
    again(to, `${step.kind} is step ${to + 1} now.`);
  };
  const remove = () => {
    steps.splice(at, 1);
    again(Math.min(at, steps.length - 1), `${step.kind} is removed.`);
  };
  const buttons = element("p", "", { class: "actions" });
  if (at > 0) buttons.append(button("Earlier", `step ${at + 1}`, () => move(at - 1)));
  if (at < steps.length - 1) buttons.append(button("Later", `step ${at + 1}`, () => move(at + 1)));
  buttons.append(button("Remove", `step ${at + 1}`, remove), optional(step, changed));
  box.append(element("summary", String(step.kind ?? "a step without a kind")), does, fields, buttons);
  item.append(box);
  fill(step, does, fields, changed);
  return item;
}

async function fill(step, does, fields, changed) {
  try {
    const known = await templatesOf(step.kind);
    does.textContent = known.does || `There is no step of the kind ${step.kind}.`;
    if (known.templates.has(step.kind)) showFields(fields, known.templates.get(step.kind), step, known.templates, changed);
  } catch {
    does.textContent = "Its settings cannot be had at the moment; the text below can still be written.";
  }
}

function button(label, of, act) {
  const made = element("button", label, { type: "button", class: "plain", "aria-label": `${label}: ${of}` });
  made.addEventListener("click", act);
  return made;
}

function optional(step, changed) {
  const label = element("label", " May be left out, too", { class: "plain" });
  const box = element("input", "", { type: "checkbox" });
  box.checked = step.optional === true;
  box.addEventListener("input", () => {
    if (box.checked) step.optional = true;
    else delete step.optional;
    changed();
  });
  label.prepend(box);
  return label;
}
