// Addresses of the service, requests to it, and what is said to those who do not see the page.

const root = new URL(document.documentElement.dataset.root, location.href);

export const address = (path) => new URL(path, root).href;

export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.problem = problem;
    this.status = status;
  }
}

export const refusal = (text, status) => {
  try {
    return new Refused(JSON.parse(text), status);
  } catch {
    return new Refused({}, status);
  }
};

/** The answer of the API, as {status, body, headers}. Throws Refused, and TypeError where nothing answers. */
export async function ask(method, path, { json, headers = {}, signal } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(address(path), { method, body, signal, headers: { ...type, ...headers } });
  const text = await answer.text();
  if (!answer.ok) throw refusal(text, answer.status);
  return { status: answer.status, body: text ? JSON.parse(text) : null, headers: answer.headers };
}

/** The answer to a question that a worker answers, asked for until it is there. Throws as `ask`. */
export async function answered(answer) {
  while (answer.status === 202) {
    answer = await ask("GET", `v1/inquiries/${answer.body.id}?wait=25`);
    await sleep(200);
  }
  return answer;
}

/** A page of the service as a document: parsed by the browser, its scripts never run. */
export function fetchPage(href) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", href);
    request.responseType = "document";
    request.setRequestHeader("Accept", "text/html");
    request.onload = () => {
      if (request.status === 401) location.reload();
      else if (request.status >= 500 || request.status === 429) reject(new TypeError(UNREACHABLE));
      else resolve(request.response);
    };
    request.onerror = () => reject(new TypeError(UNREACHABLE));
    request.send();
  });
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const UNREACHABLE = "The service cannot be reached. Trying again.";

/** For those who do not see the page; that the service cannot be reached, for all, until it can. */
export function announce(text) {
  const region = document.getElementById("announcement");
  region.classList.toggle("unseen", text !== UNREACHABLE);
  if (region.textContent !== text) region.textContent = text;
}

export function reached() {
  if (document.getElementById("announcement").textContent === UNREACHABLE) announce("The service can be reached again.");
}

/** A new element with text, never with HTML. */
export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Says in `place`, an alert, what was refused: the sentence, and every fault that has a place. */
export function showRefusal(place, error) {
  const problem = error.problem ?? {};
  const sentence = error instanceof TypeError ? "The service cannot be reached. Try again in a moment." : error.message;
  const listed = (problem.errors ?? []).filter((fault) => fault.path);
  const list = element("ul");
  list.append(...listed.map((fault) => element("li", `${fault.path}: ${fault.detail}`)));
  place.replaceChildren(element("p", listed.length > 1 ? problem.title : sentence), ...(listed.length > 1 ? [list] : []));
}
