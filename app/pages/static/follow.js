// A job that is followed by its events: lines of the log as they come, the rest of the page at most once a second, less often
// where it takes the service long.

import { UNREACHABLE, address, announce, element } from "./service.js";
import { PATIENCE, refresh } from "./live.js";

const MOST_LINES = 1000;
const THROTTLE = 1000;
/** The page is asked for again after at least so many times as long as it took. */
const SHARE = 10;
const isOver = () => !document.querySelector("progress#progress");

export function start(place) {
  const log = document.getElementById("log");
  let source, due, took = 0;
  const changed = () => (due ??= setTimeout(update, Math.max(THROTTLE, SHARE * took)));
  const update = async () => {
    due = undefined;
    const begun = performance.now();
    try {
      await refresh();
      took = performance.now() - begun;
      if (isOver()) announce(`The job has ended: ${document.querySelector("h1 .badge").textContent}.`);
    } catch {
      announce(UNREACHABLE);
      setTimeout(changed, PATIENCE);
    }
  };
  const heard = (event) => {
    append(log, JSON.parse(event.data));
    changed();
  };
  const open = () => {
    source = new EventSource(address(`v1/jobs/${place.dataset.follow}/events?after=${log.dataset.after}`));
    for (const kind of ["state", "progress", "log"]) source.addEventListener(kind, heard);
    source.onopen = changed;
    source.onerror = brokeOff;
  };
  // A stream that ends after the job is not taken up again; one that was refused is, after a while.
  const brokeOff = () => {
    if (isOver()) return source.close();
    changed();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => isOver() || open(), PATIENCE);
  };
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
