// A file on its way to the service: in one request, or, above 64 MiB, in parts that are taken up where they broke off.

import { address, announce, Refused, refusal, showRefusal, sleep } from "./service.js";

const RESUMABLE_ABOVE = 64 * 2 ** 20;
const PART = 16 * 2 ** 20;
const LONGEST_PAUSE = 20000;
const TUS = { "Tus-Resumable": "1.0.0" };
const SUFFIX = /\.(torchscript\.pt|onnx|pt2|pth?|tar|zip|npz|npy|csv|jsonl|parquet|wav|flac)$/i;

/** Makes the form send the file as soon as one is chosen or dropped, and go on to its page. */
export function start(form) {
  const input = form.querySelector("input[type=file]");
  input.addEventListener("change", () => input.files.length && send(form, input.files[0]));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragover", "dragleave", "drop"]) form.addEventListener(kind, (event) => dragged(event, form));
}

function dragged(event, form) {
  event.preventDefault();
  form.classList.toggle("over", event.type === "dragover");
  const file = event.type === "drop" && event.dataTransfer.files[0];
  if (file) send(form, file);
}

async function send(form, file) {
  const refused = form.querySelector(".refused");
  const stop = new AbortController();
  const shown = showProgress(form, file, stop);
  refused.replaceChildren();
  try {
    const kind = form.dataset.upload;
    const way = file.size > RESUMABLE_ABOVE ? inParts : whole;
    const id = await way(kind, file, shown, stop.signal);
    announce("Uploaded.");
    goOn(kind, id);
  } catch (error) {
    if (error.name === "AbortError") announce("The upload was cancelled.");
    else showRefusal(refused, error);
    form.querySelector(".sending").hidden = true;
    form.querySelector("input[type=file]").value = "";
  }
}

/** To the upload's own page; from a job that is being put together, on with it. */
function goOn(kind, id) {
  const job = document.querySelector("[data-compress]");
  const here = new URL(location.href);
  if (job && kind === "datasets") {
    const use = document.querySelector("[data-added-for]")?.value ?? "dataset";
    for (const name of [...here.searchParams.keys()]) if ((name === "dataset") !== (use === "dataset")) here.searchParams.delete(name);
    here.searchParams.set(use, id);
    location.assign(here);
  } else {
    location.assign(address(`${kind}/${id}`));
  }
}

function showProgress(form, file, stop) {
  const box = form.querySelector(".sending");
  const bar = box.querySelector("progress");
  const text = box.querySelector(".sending-text");
  box.hidden = false;
  box.querySelector(".sending-name").textContent = `Sending ${file.name}`;
  box.querySelector("[data-cancel-upload]").onclick = () => stop.abort();
  let tenth = -1;
  return (sent, note = "") => {
    const share = file.size ? sent / file.size : 1;
    bar.value = share;
    text.textContent = note || `${megabytes(sent)} of ${megabytes(file.size)} MB, ${Math.round(100 * share)} %`;
    if (Math.floor(share * 10) !== tenth || note) announce(text.textContent);
    tenth = Math.floor(share * 10);
  };
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const nameOf = (file) => file.name.replace(SUFFIX, "").slice(0, 200);

/** One request of which the progress can be seen. Resolves with {status, text, header}; TypeError where none answered. */
function request(method, href, headers, body, progress, signal) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    const aborted = () => reject(new DOMException("cancelled", "AbortError"));
    if (signal.aborted) return aborted();
    sent.open(method, href);
    for (const [name, value] of Object.entries(headers)) sent.setRequestHeader(name, value);
    sent.upload.onprogress = (event) => progress?.(event.loaded);
    sent.onload = () => resolve({ status: sent.status, text: sent.responseText, header: (it) => sent.getResponseHeader(it) });
    sent.onerror = () => reject(new TypeError("The connection broke off."));
    sent.onabort = aborted;
    signal.addEventListener("abort", () => sent.abort(), { once: true });
    sent.send(body);
  });
}

const addressed = (path, file) => {
  const href = new URL(address(path));
  if (nameOf(file)) href.searchParams.set("name", nameOf(file));
  const inputs = path.endsWith("models") ? (document.getElementById("inputs")?.value ?? "") : "";
  for (const line of inputs.split("\n")) if (line.trim()) href.searchParams.append("input", line.trim());
  return href;
};

const idIn = (place) => place.split("/").pop();

async function whole(kind, file, shown, signal) {
  const headers = { "Content-Type": "application/octet-stream" };
  const answer = await request("POST", addressed(`v1/${kind}`, file), headers, file, shown, signal);
  if (answer.status >= 300) throw refusal(answer.text, answer.status);
  return idIn(answer.header("location"));
}

/** tus 1.0: what has come is asked for, the next part sent, until all is there; whatever breaks off is begun again. */
async function inParts(kind, file, shown, signal) {
  const known = memory(kind, file);
  let pause = 500;
  while (!signal.aborted) {
    try {
      const upload = known.get() ?? (await created(kind, file, signal));
      known.set(upload);
      const made = await sendRest(`v1/uploads/${kind}/${upload}`, file, shown, signal, () => (pause = 500));
      known.forget();
      return made;
    } catch (error) {
      if (error.status === 404) known.forget();
      else if (!isPassing(error)) throw known.forget(), error;
      shown(0, "The connection broke off. Trying again.");
      await sleep(pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }
  throw new DOMException("cancelled", "AbortError");
}

/** What may be otherwise in a while; 507, that there is no room, is not. */
const isPassing = (error) =>
  error instanceof TypeError || (error.status >= 500 && error.status !== 507) || [409, 423, 429].includes(error.status);

async function created(kind, file, signal) {
  const headers = { ...TUS, "Upload-Length": String(file.size) };
  const answer = await request("POST", addressed(`v1/uploads/${kind}`, file), headers, null, null, signal);
  if (answer.status !== 201) throw refusal(answer.text, answer.status);
  return idIn(answer.header("location"));
}

async function sendRest(path, file, shown, signal, moved) {
  let answer = await request("HEAD", address(path), TUS, null, null, signal);
  if (answer.status >= 300) throw new Refused({}, answer.status);
  while (!answer.header("content-location")) {
    const offset = Number(answer.header("upload-offset"));
    const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    const part = file.slice(offset, offset + PART);
    answer = await request("PATCH", address(path), headers, part, (sent) => shown(offset + sent), signal);
    if (answer.status >= 300) throw refusal(answer.text, answer.status);
    moved();
  }
  return idIn(answer.header("content-location"));
}

/** Which upload this file was, also after the page was loaded again. */
function memory(kind, file) {
  const key = `winnow ${kind} ${file.name} ${file.size} ${file.lastModified}`;
  return {
    get: () => localStorage.getItem(key),
    set: (upload) => localStorage.setItem(key, upload),
    forget: () => localStorage.removeItem(key),
  };
}
