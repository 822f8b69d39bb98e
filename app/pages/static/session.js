// A key changed into a session's cookie, and the end of it.

import { address, ask, showRefusal } from "./service.js";

export function signIn(form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const key = form.querySelector("input");
    try {
      await ask("POST", "v1/session", { headers: { Authorization: `Bearer ${key.value.trim()}` } });
      key.value = "";
      location.reload();
    } catch (error) {
      showRefusal(form.querySelector(".refused"), error);
      key.focus();
    }
  });
}

export function signOut(button) {
  button.addEventListener("click", async () => {
    await ask("DELETE", "v1/session").catch(() => undefined);
    location.assign(address("./"));
  });
}
