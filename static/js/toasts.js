// What was just done, for a few seconds, with a way back.

import { fetchPiece } from "./fetching.js";
import { words } from "./words.js";

const SHOWN_MS = 8_000;

/** Say something; `undo` is an address that takes it back. */
export function toast({ text, undo, values = {}, undo_word: undoWord, link, link_word: linkWord }) {
  const box = document.createElement("div");
  box.className = "toast";
  const said = document.createElement("span");
  said.textContent = text;
  box.append(said);
  if (undo) box.append(undoButton(box, undo, values, undoWord));
  if (link) box.append(linkTo(link, linkWord));
  document.getElementById("toasts").replaceChildren(box);
  setTimeout(() => box.remove(), SHOWN_MS);
}

function linkTo(address, word) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = word;
  return link;
}

function undoButton(box, address, values, word) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word;
  button.addEventListener("click", async () => {
    box.remove();
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) {
      for (const each of [value].flat()) body.append(name, each);
    }
    const piece = await fetchPiece(address, { method: "POST", body });
    if (!piece.ok) return toast({ text: words.failed });
    const conversation = address.match(/\/inbox\/(\d+)\//)?.[1];
    document.dispatchEvent(new CustomEvent("changed", { detail: { conversation } }));
  });
  return button;
}

/** Listen for what the server says beside its answers, and for requests that failed. */
export function begin() {
  document.body.addEventListener("toast", (event) => toast(event.detail));
  document.body.addEventListener("htmx:sendError", () => toast({ text: words.failed }));
  document.body.addEventListener("htmx:timeout", () => toast({ text: words.failed }));
  document.body.addEventListener("htmx:responseError", (event) => toast({ text: reason(event.detail.xhr) }));
}

function reason(request) {
  if (request.status === 422) {
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    return page.body.textContent.trim();
  }
  return { 403: words.forbidden, 404: words.gone }[request.status] ?? words.failed;
}
