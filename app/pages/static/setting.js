// The settings of one step as fields: what a step says is shown in them, what is written into them it says then.

import { address, element, fetchPage } from "./service.js";

const pages = new Map();
let made = 0;

/** The templates of a kind of step, by the name of what they are of, and what the step does. Throws TypeError. */
export async function templatesOf(kind) {
  if (!pages.has(kind)) pages.set(kind, fetchPage(address(`steps/${encodeURIComponent(kind)}`)));
  try {
    const page = await pages.get(kind);
    const found = [...page.querySelectorAll("template[data-fields]")].map((it) => [it.dataset.fields, it.content]);
    return { does: page.getElementById(`does-${kind}`)?.textContent ?? "", templates: new Map(found) };
  } catch (error) {
    pages.delete(kind);
    throw error;
  }
}

/** Puts the fields of `template` into `place`. Each change is written into `said`, then `changed` is called. */
export function showFields(place, template, said, templates, changed) {
  const fields = document.importNode(template, true);
  name(fields, `s${++made}-`);
  const settings = [...fields.querySelectorAll("[data-setting]")];
  place.replaceChildren(fields);
  for (const setting of settings) wire(setting, said, templates, changed);
}

/** Ids are of this step alone. */
function name(fields, prefix) {
  for (const attribute of ["id", "for", "aria-describedby"])
    for (const it of fields.querySelectorAll(`[${attribute}]`)) it.setAttribute(attribute, prefix + it.getAttribute(attribute));
}

function wire(setting, said, templates, changed) {
  const { setting: key, type } = setting.dataset;
  const kind = KINDS[type];
  const shown = said[key] === undefined || kind.show(setting, said[key]) !== false;
  showHow(setting);
  if (!shown) return leave(setting);
  if (type === "part") inside(setting, said, templates, changed);
  setting.addEventListener("input", (event) => {
    if (event.target.closest("[data-setting]") !== setting) return;
    showHow(setting);
    const value = kind.read(setting, said[key]);
    if (value === undefined) delete said[key];
    else said[key] = value;
    if (type === "part") inside(setting, said, templates, changed);
    changed();
  });
}

/** What fields cannot show stays as the text has it. */
function leave(setting) {
  for (const it of setting.querySelectorAll("input, select, textarea")) it.disabled = true;
  setting.append(element("p", "As it stands in the text below.", { class: "hint" }));
}

function showHow(setting) {
  const how = howOf(setting);
  for (const part of setting.querySelectorAll(":scope > .value > [data-for-how]")) part.hidden = part.dataset.forHow !== how;
}

const howOf = (setting) => setting.querySelector("[data-how]")?.value ?? "value";
const one = (setting) => setting.querySelector("[data-one]");
const isOpen = (value, way) => value !== null && typeof value === "object" && way in value;

function setHow(setting, how) {
  const select = setting.querySelector("[data-how]");
  if (![...(select?.options ?? [])].some((option) => option.value === how)) return false;
  select.value = how;
  return true;
}

const number = (input) => (input.value === "" ? undefined : input.valueAsNumber);

const KINDS = {
  number: {
    show(setting, value) {
      const [low, high] = isOpen(value, "between") ? value.between : [];
      if (value === null) return setHow(setting, "null");
      if (typeof low === "number" && typeof high === "number") {
        setting.querySelector("[data-low]").value = low;
        setting.querySelector("[data-high]").value = high;
        return setHow(setting, "between");
      }
      if (isOpen(value, "any_of") && value.any_of.every?.((it) => typeof it === "number")) {
        setting.querySelector("[data-some]").value = value.any_of.join(", ");
        return setHow(setting, "any_of");
      }
      if (typeof value !== "number") return false;
      one(setting).value = value;
    },
    read(setting) {
      const [low, high] = ["low", "high"].map((it) => number(setting.querySelector(`[data-${it}]`)));
      const some = setting.querySelector("[data-some]").value.split(",").map((it) => it.trim()).filter(Boolean).map(Number);
      if (howOf(setting) === "null") return null;
      if (howOf(setting) === "between") return low === undefined || high === undefined ? undefined : { between: [low, high] };
      if (howOf(setting) === "any_of") return some.length && some.every(Number.isFinite) ? { any_of: some } : undefined;
      return number(one(setting));
    },
  },
  choice: {
    show(setting, value) {
      const boxes = [...setting.querySelectorAll("[data-some]")];
      if (value === null) return setHow(setting, "null");
      if (isOpen(value, "any_of") && Array.isArray(value.any_of)) {
        const texts = value.any_of.map((it) => JSON.stringify(it));
        for (const box of boxes) box.checked = texts.includes(box.value);
        return boxes.filter((box) => box.checked).length === texts.length && setHow(setting, "any_of");
      }
      one(setting).value = JSON.stringify(value);
      return one(setting).value !== "";
    },
    read(setting) {
      const some = [...setting.querySelectorAll("[data-some]:checked")].map((box) => JSON.parse(box.value));
      if (howOf(setting) === "null") return null;
      if (howOf(setting) === "any_of") return some.length ? { any_of: some } : undefined;
      return one(setting).value === "" ? undefined : JSON.parse(one(setting).value);
    },
  },
  text: {
    show: (setting, value) => typeof value === "string" && ((one(setting).value = value), true),
    read: (setting) => one(setting).value || undefined,
  },
  list: {
    show(setting, value) {
      const lines = value === one(setting).dataset.word ? [value] : value;
      if (!Array.isArray(lines) || !lines.every((it) => typeof it === "string")) return false;
      one(setting).value = lines.join("\n");
    },
    read(setting) {
      const lines = one(setting).value.split("\n").map((it) => it.trim()).filter(Boolean);
      if (lines.length === 1 && lines[0] === one(setting).dataset.word) return lines[0];
      return lines.length ? lines : undefined;
    },
  },
  json: {
    show: (setting, value) => ((one(setting).value = JSON.stringify(value)), true),
    read(setting, before) {
      try {
        one(setting).setCustomValidity("");
        return one(setting).value.trim() === "" ? undefined : JSON.parse(one(setting).value);
      } catch {
        one(setting).setCustomValidity("This is no JSON yet.");
        return before;
      }
    },
  },
  part: {
    show(setting, value) {
      if (value === null) return true;
      if (typeof value !== "object") return false;
      const objects = [...one(setting).options].map((it) => it.value).filter(Boolean);
      one(setting).value = value.kind ?? (objects.length === 1 ? objects[0] : "");
      return !isOpen(value, "any_of") && one(setting).value !== "";
    },
    read(setting, before) {
      const chosen = one(setting).value;
      if (chosen === "") return undefined;
      if (before && (before.kind ?? chosen) === chosen) return before;
      return isStep(chosen) ? { kind: chosen } : {};
    },
  },
};

/** Kinds of steps are written small, objects as their class. */
const isStep = (part) => part === part.toLowerCase();

/** The fields of what a setting holds. */
async function inside(setting, said, templates, changed) {
  const place = setting.querySelector("[data-inside]");
  const held = said[setting.dataset.setting];
  const chosen = one(setting).value;
  if (place.dataset.shown === chosen) return;
  place.dataset.shown = chosen;
  place.replaceChildren();
  if (!held) return;
  const known = isStep(chosen) ? (await templatesOf(chosen)).templates : templates;
  if (place.dataset.shown === chosen) showFields(place, known.get(chosen), held, known, changed);
}
