// Drafts: kept in the browser at once, and by the server for wherever one goes on typing.

import { fetchPiece } from "./fetching.js";

const PAUSE_MS = 800;

const key = (id) => `${document.body.dataset.draft}.${id}`;
const pauses = new Map();

/** Keep what was typed in a conversation. */
export function keep(id, text) {
  store(key(id), text);
  clearTimeout(pauses.get(id));
  pauses.set(id, setTimeout(() => save(id, text), PAUSE_MS));
}

/** What was sent is kept no longer; the server lets go of it when it takes the message. */
export function sent(id, text) {
  if (read(id) === text) forget(id);
}

/** Keep it here only, while it is on its way. */
export function hold(id, text) {
  clearTimeout(pauses.get(id));
  store(key(id), text);
}

/** What this browser has that the server may not have yet. */
export function read(id) {
  try {
    return localStorage.getItem(key(id)) ?? "";
  } catch {
    return "";
  }
}

async function save(id, text) {
  pauses.delete(id);
  const body = new URLSearchParams({ text });
  const piece = await fetchPiece(`/inbox/${id}/draft/`, { method: "POST", body });
  if (piece.ok && read(id) === text && !pauses.has(id)) forget(id);
}

function forget(id) {
  clearTimeout(pauses.get(id));
  pauses.delete(id);
  store(key(id), "");
}

function store(name, text) {
  try {
    if (text) localStorage.setItem(name, text);
    else localStorage.removeItem(name);
  } catch {
    // A browser without storage still sends, and the server still keeps the draft.
  }
}
