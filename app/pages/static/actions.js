// Buttons that change something: `data-send="METHOD path"`, with `data-body` to make something that has a page then;
// asked about before where `data-sure` says so.

import { address, announce, ask } from "./service.js";
import { refresh } from "./live.js";

export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-send]");
    if (button && (!button.dataset.sure || confirm(button.dataset.sure))) act(button);
  });
}

async function act(button) {
  const [method, path] = button.dataset.send.split(" ");
  button.disabled = true;
  try {
    const { body } = await ask(method, path, { json: button.dataset.body ? JSON.parse(button.dataset.body) : undefined });
    if (button.dataset.body) location.assign(address(`${button.dataset.then}/${body.id}`));
    else if (button.dataset.then) location.assign(address(button.dataset.then));
    else await refresh();
  } catch (error) {
    button.disabled = false;
    button.after(alertOf(error.message));
    announce(error.message);
  }
}

function alertOf(text) {
  const made = document.createElement("p");
  made.className = "refused";
  made.setAttribute("role", "alert");
  made.textContent = text;
  return made;
}
