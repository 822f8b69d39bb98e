// Buttons that change something: `data-send="METHOD path"`, with `data-body` to make something that has a page then;
// asked about before where `data-sure` says so. What a worker has to answer says in `data-meanwhile` what it is about.

import { address, announce, answered, ask, element, showRefusal } from "./service.js";
import { refresh } from "./live.js";

export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-send]");
    if (button && (!button.dataset.sure || confirm(button.dataset.sure))) act(button);
  });
}

async function act(button) {
  const [method, path] = button.dataset.send.split(" ");
  const label = button.textContent;
  button.disabled = true;
  if (button.nextElementSibling?.getAttribute("role") === "alert") button.nextElementSibling.remove();
  try {
    const answer = await ask(method, path, { json: button.dataset.body ? JSON.parse(button.dataset.body) : undefined });
    const body = button.dataset.meanwhile ? await waited(button, answer) : answer.body;
    if (button.dataset.body) location.assign(address(`${button.dataset.then}/${body.id}`));
    else if (button.dataset.then) location.assign(address(button.dataset.then));
    else await refresh();
  } catch (error) {
    button.disabled = false;
    button.textContent = label;
    alertAfter(button, error);
  }
}

async function waited(button, answer) {
  button.textContent = button.dataset.meanwhile;
  announce(button.dataset.meanwhile);
  return (await answered(answer)).body;
}

function alertAfter(button, error) {
  const place = element("div", "", { class: "refused", role: "alert" });
  button.after(place);
  showRefusal(place, error);
}
