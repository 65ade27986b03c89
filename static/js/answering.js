// "Somebody is answering": told while one types, shown to colleagues, gone soon after.

import { openedId } from "./conversation.js";
import { elementsOf, fetchPiece } from "./fetching.js";
import * as list from "./list.js";

const AGAIN_MS = 4_000;
const SHOWN_MS = 9_000;

const line = () => document.getElementById("answering");
const toldAt = new Map();
// By conversation, then by person: until when, and the timer that ends it.
const heard = new Map();
const sentences = new Map();

/** Tell colleagues that one is writing here, now and then while one does. */
export function tell(id, text) {
  const now = Date.now();
  if (!text.trim() || now - (toldAt.get(id) ?? 0) < AGAIN_MS) return;
  toldAt.set(id, now);
  fetchPiece(`/inbox/${id}/answering/`, { method: "POST" });
}

/** A colleague is writing in a conversation. */
export function hear(id, user) {
  if (String(user) === document.body.dataset.me) return;
  if (!heard.has(id)) heard.set(id, new Map());
  const people = heard.get(id);
  clearTimeout(people.get(user));
  people.set(user, setTimeout(() => forget(id, user), SHOWN_MS));
  show(id);
}

/** Show who is writing in the conversation that was just opened. */
export function begin() {
  if (openedId()) show(openedId());
}

function forget(id, user) {
  heard.get(id)?.delete(user);
  show(id);
}

async function show(id) {
  const people = [...(heard.get(id)?.keys() ?? [])];
  list.showAnswering(id, people.length > 0);
  if (id !== openedId() || !line()) return;
  const said = await Promise.all(people.map((user) => sentence(id, user)));
  if (id !== openedId()) return;
  line().textContent = said.filter(Boolean).join(" ");
}

async function sentence(id, user) {
  if (!sentences.has(user)) {
    const piece = await fetchPiece(`/inbox/${id}/answering/?user=${user}`);
    if (!piece.ok) return "";
    sentences.set(user, elementsOf(piece.html, "[data-answering]")[0]?.textContent ?? "");
  }
  return sentences.get(user);
}
