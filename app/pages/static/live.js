// Parts of a page that change by themselves: fetched again as the service renders them, and put in the old one's place.

import { UNREACHABLE, address, announce, ask, element, fetchPage, reached, refusal, showRefusal, sleep } from "./service.js";

const PATIENCE = 2000;
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

const MOST_LINES = 1000;
const THROTTLE = 1000;

/** Follows a job by its events: lines of the log as they come, the rest of the page at most once a second. */
export function follow(place) {
  const log = document.getElementById("log");
  let source, due;
  const changed = () => {
    due ??= setTimeout(async () => {
      due = undefined;
      try {
        await refresh();
        if (!document.querySelector("progress#progress")) end();
      } catch {
        announce(UNREACHABLE);
        setTimeout(changed, PATIENCE);
      }
    }, THROTTLE);
  };
  const end = () => {
    source.close();
    announce(`The job has ended: ${document.querySelector("h1 .badge").textContent}.`);
  };
  const heard = (event) => {
    append(log, JSON.parse(event.data));
    changed();
  };
  const open = () => {
    source = new EventSource(address(`v1/jobs/${place.dataset.follow}/events?after=${log.dataset.after}`));
    for (const kind of ["state", "progress", "log"]) source.addEventListener(kind, heard);
    source.onopen = changed;
    source.onerror = () => {
      changed();
      if (source.readyState === EventSource.CLOSED) setTimeout(reopen, PATIENCE);
    };
  };
  const reopen = () => document.querySelector("progress#progress") && open();
  open();
}

function append(log, record) {
  if (record.id <= Number(log.dataset.after)) return;
  log.dataset.after = record.id;
  const line = element("li", "", { class: record.level });
  line.append(element("time", record.time.slice(11, 19), { datetime: record.time }), " ");
  if (record.step) line.append(element("b", record.step), " ");
  line.append(element("span", record.message));
  const box = log.parentElement;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  log.append(line);
  while (log.children.length > MOST_LINES) log.firstElementChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}
