// Files for the next answer: chosen, pasted or dropped; uploaded at once, sent with the answer.

import { elementsOf, fetchPiece } from "./fetching.js";
import { openedId } from "./conversation.js";
import { words } from "./words.js";

const MOST = 10;

const input = () => document.getElementById("composer-file");
const list = () => document.getElementById("uploads");
// By conversation, so that what was added is still there on coming back.
const kept = new Map();

/** Show what was added here before, and listen. */
export function begin() {
  if (!input()) return;
  document.getElementById("composer-attach").hidden = false;
  draw(openedId());
  input().addEventListener("change", () => {
    add([...input().files]);
    input().value = "";
  });
  document.getElementById("composer-text").addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    add(files);
  });
  acceptDrops(document.getElementById("pane"));
}

/** Whether anything is still on its way to the server. */
export const isUploading = (id) => itemsOf(id).some((item) => item.request);

/** Whether anything could not be uploaded and waits for a decision. */
export const hasFailed = (id) => itemsOf(id).some((item) => !item.request && !item.file);

/** Take what is ready out of the composer, to be sent. */
export function take(id) {
  const ready = itemsOf(id).filter((item) => item.file);
  kept.set(id, itemsOf(id).filter((item) => !item.file));
  draw(id);
  return ready;
}

/** Bring back what could not be sent. */
export function putBack(id, item) {
  itemsOf(id).push(item);
  draw(id);
}

function itemsOf(id) {
  if (!kept.has(id)) kept.set(id, []);
  return kept.get(id);
}

function draw(id) {
  if (openedId() !== id || !list()) return;
  list().replaceChildren(...itemsOf(id).map((item) => item.element));
  list().hidden = !itemsOf(id).length;
}

function acceptDrops(pane) {
  // The pane stays while its content changes: it listens once.
  if (pane.dataset.drops) return;
  pane.dataset.drops = "yes";
  const hasFiles = (event) => input() && event.dataTransfer?.types.includes("Files");
  pane.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    pane.classList.add("dropping");
  });
  pane.addEventListener("dragleave", (event) => {
    if (!pane.contains(event.relatedTarget)) pane.classList.remove("dropping");
  });
  pane.addEventListener("drop", (event) => {
    pane.classList.remove("dropping");
    if (!hasFiles(event)) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
}

function add(files) {
  const id = openedId();
  const room = MOST - itemsOf(id).length;
  for (const file of files.slice(0, Math.max(room, 0))) {
    const item = itemFor(file, id);
    itemsOf(id).push(item);
    upload(item);
  }
  draw(id);
  document.getElementById("composer-text").focus();
}

function itemFor(file, id) {
  const element = document.getElementById("upload-item").content.firstElementChild.cloneNode(true);
  const item = { source: file, name: file.name, id, element, url: input().dataset.upload, picture: "" };
  item.most = Number(input().dataset.most);
  element.querySelector(".upload-name").textContent = file.name;
  if (file.type.startsWith("image/") && file.type !== "image/svg+xml") showPicture(item);
  element.querySelector("[data-remove-upload]").addEventListener("click", () => remove(item));
  element.querySelector("[data-retry-upload]").addEventListener("click", () => upload(item));
  return item;
}

function showPicture(item) {
  const picture = document.createElement("img");
  item.picture = URL.createObjectURL(item.source);
  picture.src = item.picture;
  picture.alt = "";
  item.element.prepend(picture);
}

function upload(item) {
  if (item.source.size > item.most) return fail(item, words.tooLarge, false);
  const body = new FormData();
  body.set("file", item.source);
  const request = new XMLHttpRequest();
  const progress = item.element.querySelector("progress");
  item.request = request;
  say(item, "");
  progress.hidden = false;
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) progress.value = event.loaded / event.total;
  });
  request.addEventListener("loadend", () => finished(item, request));
  request.open("POST", item.url);
  request.setRequestHeader("HX-Request", "true");
  request.setRequestHeader("X-CSRFToken", document.body.dataset.csrf);
  request.send(body);
}

function finished(item, request) {
  item.request = null;
  item.element.querySelector("progress").hidden = true;
  if (item.isRemoved) return;
  if (request.status === 422) return fail(item, textOf(request.responseText), false);
  if (request.status === 413) return fail(item, words.tooLarge, false);
  if (request.status === 403) return fail(item, words.forbidden, false);
  if (request.status !== 201) return fail(item, words.failed, true);
  const [answer] = elementsOf(request.responseText, "[data-upload]");
  item.file = answer.dataset.upload;
  item.removal = answer.dataset.remove;
}

function fail(item, text, mayRetry) {
  say(item, text);
  item.element.querySelector("[data-retry-upload]").hidden = !mayRetry;
}

function say(item, text) {
  const line = item.element.querySelector("[role=alert]");
  line.textContent = text;
  line.hidden = !text;
  item.element.querySelector("[data-retry-upload]").hidden = true;
}

function remove(item) {
  item.isRemoved = true;
  item.request?.abort();
  kept.set(item.id, itemsOf(item.id).filter((each) => each !== item));
  letGo(item);
  if (item.removal) fetchPiece(item.removal, { method: "POST" });
  draw(item.id);
  document.getElementById("composer-text")?.focus();
}

/** Free what the browser held for a small picture. */
export function letGo(item) {
  if (item.picture) URL.revokeObjectURL(item.picture);
}

function textOf(html) {
  return new DOMParser().parseFromString(html, "text/html").body.textContent.trim();
}
