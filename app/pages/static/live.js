// Parts of a page that change by themselves: fetched again as the service renders them, and put in the old one's place.

import { UNREACHABLE, address, announce, ask, element, fetchPage, reached, refusal, showRefusal, sleep } from "./service.js";

export const PATIENCE = 2000;
const WAIT_SECONDS = 25;

/** Replaces every part of the page whose id begins with `live` by how it is now; what is the same stays untouched. */
export async function refresh() {
  const now = await fetchPage(location.href);
  reached();
  for (const old of document.querySelectorAll("[id^=live]")) {
    const fresh = now?.getElementById(old.id);
    if (fresh && !fresh.isEqualNode(old)) swap(old, fresh);
  }
}

function swap(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const opened = new Set([...old.querySelectorAll("details[open]")].map((it) => it.textContent));
  const adopted = document.adoptNode(fresh);
  old.replaceWith(adopted);
  for (const it of adopted.querySelectorAll("details")) if (opened.has(it.textContent)) it.open = true;
  if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus();
  begin(adopted);
}

/** Starts what the elements of `top`, itself among them, ask for. */
export function begin(top) {
  const all = (name) => [top, ...top.querySelectorAll(`[data-${name}]`)].filter((it) => it.matches?.(`[data-${name}]`));
  for (const it of all("wait")) untilSettled(it, it.dataset.wait, "reload" in it.dataset ? () => location.reload() : refresh);
  for (const it of all("include")) include(it);
  for (const it of all("every")) again(it, Number(it.dataset.every) * 1000);
}

/** Calls `then` once what is at the address is no longer being inspected. Outlasts a restart of the service. */
async function untilSettled(place, path, then) {
  const joined = path + (path.includes("?") ? "&" : "?");
  while (place.isConnected) {
    try {
      const { status, body } = await ask("GET", `${joined}wait=${WAIT_SECONDS}`);
      if (status !== 202 && body.state !== "inspecting") break;
    } catch (error) {
      if (error.status && error.status < 500) break;
      announce(UNREACHABLE);
      await sleep(PATIENCE);
    }
  }
  if (!place.isConnected) return;
  try {
    await then();
    announce("The page has changed.");
  } catch {
    await sleep(PATIENCE);
    untilSettled(place, path, then);
  }
}

/** Puts a part of another page, by its id, in place of the element's content. */
async function include(place) {
  try {
    const page = await fetchPage(address(place.dataset.include));
    const part = page.getElementById(place.dataset.part);
    if (!part) return showRefusal(place, refusalOf(page));
    place.replaceChildren(document.adoptNode(part));
    if (part.dataset.wait) untilSettled(part, part.dataset.wait, () => include(place));
  } catch (error) {
    showRefusal(place, error);
  }
}

/** What a page says that is a problem. */
function refusalOf(page) {
  const title = page.querySelector("h1")?.textContent ?? "";
  const detail = page.querySelector("main p")?.textContent ?? "";
  return refusal(JSON.stringify({ title, detail }), 0);
}

async function again(place, milliseconds) {
  await sleep(milliseconds);
  if (!place.isConnected) return;
  if (!document.hidden) await refresh().catch(() => announce(UNREACHABLE));
  if (place.isConnected) again(place, milliseconds);
}
