// Writing an answer: what is typed is kept until the server has it.

import * as answering from "./answering.js";
import { mergeHtml, openedId, showPending } from "./conversation.js";
import * as drafts from "./drafts.js";
import { fetchPiece } from "./fetching.js";
import * as files from "./files.js";
import * as quoting from "./quoting.js";
import * as replies from "./replies.js";
import { words } from "./words.js";

const form = () => document.getElementById("composer");
const field = () => document.getElementById("composer-text");
// Only where messages have a subject: there one writes more than a line.
const subject = () => document.getElementById("composer-subject");
const problem = () => document.getElementById("composer-problem");

// One after the other: two quick answers arrive in the order they were written.
let sending = Promise.resolve();
// A failed attempt's text and reference: the same text again is the same message.
const attempts = new Map();

/** Bring the draft back and listen. */
export function begin() {
  if (!form()) return;
  files.begin();
  quoting.begin();
  field().value = drafts.read(openedId()) || field().value;
  grow();
  field().addEventListener("input", () => {
    drafts.keep(openedId(), field().value);
    answering.tell(openedId(), field().value);
    grow();
  });
  replies.begin();
  field().addEventListener("keydown", (event) => {
    if (replies.press(event)) return;
    if (event.key !== "Enter" || event.isComposing) return;
    if (subject() ? !(event.ctrlKey || event.metaKey) : event.shiftKey) return;
    event.preventDefault();
    submit();
  });
  form().addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

/** Put the focus where one writes. */
export function focus() {
  field()?.focus();
}

function submit() {
  const text = field().value;
  const id = openedId();
  if (files.isUploading(id)) return complain(words.uploading);
  if (files.hasFailed(id)) return complain(words.uploadFailed);
  const items = files.take(id);
  if (!text.trim() && !items.length) return focus();
  const url = form().action;
  // A message has one file; what was typed goes with the first.
  const wanted = items.length
    ? items.map((item, place) => withFile(id, url, place ? "" : text, item))
    : [{ id, url, text, reference: referenceFor(id, text) }];
  // Kept until the server has it, so that a page that closes meanwhile loses nothing.
  drafts.hold(id, text);
  field().value = "";
  problem().replaceChildren();
  grow();
  focus();
  wanted[0].quote = quoting.take(id);
  for (const attempt of wanted) {
    attempt.subject = subject()?.value ?? "";
    const bubble = showPending(attempt.text || attempt.item.name, attempt.reference);
    sending = sending.then(() => deliver(attempt, bubble));
  }
}

function withFile(id, url, text, item) {
  if (item.text !== text) Object.assign(item, { text, reference: newReference() });
  return { id, url, text, item, reference: item.reference };
}

async function deliver(attempt, bubble) {
  const body = new URLSearchParams();
  body.set("text", attempt.text);
  body.set("subject", attempt.subject);
  body.set("reference", attempt.reference);
  if (attempt.item) body.set("file", attempt.item.file);
  if (attempt.quote) body.set("reply_to", attempt.quote.name);
  const piece = await fetchPiece(attempt.url, { method: "POST", body });
  if (!piece.ok) return giveBack(attempt, bubble, piece);
  attempts.delete(attempt.id);
  if (attempt.item) files.letGo(attempt.item);
  drafts.sent(attempt.id, attempt.text);
  if (openedId() === attempt.id) mergeHtml(piece.html);
  bubble.remove();
  document.dispatchEvent(new CustomEvent("changed", { detail: { conversation: attempt.id } }));
}

function giveBack(attempt, bubble, piece) {
  bubble.remove();
  if (attempt.item) files.putBack(attempt.id, attempt.item);
  else attempts.set(attempt.id, attempt);
  quoting.putBack(attempt.id, attempt.quote);
  const isHere = openedId() === attempt.id && field();
  const typedSince = isHere ? field().value : drafts.read(attempt.id);
  const both = [attempt.text, typedSince].filter(Boolean).join("\n");
  const text = typedSince === attempt.text ? typedSince : both;
  drafts.keep(attempt.id, text);
  if (!isHere) return;
  field().value = text;
  grow();
  explain(piece);
}

function explain(piece) {
  if (piece.status === 422) problem().innerHTML = piece.html;
  else complain(piece.status === 403 ? words.forbidden : words.unsent);
}

function complain(text) {
  const line = document.createElement("p");
  line.className = "problem";
  line.textContent = text;
  problem().replaceChildren(line);
}

function referenceFor(id, text) {
  const failed = attempts.get(id);
  return failed?.text === text ? failed.reference : newReference();
}

function newReference() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  field().style.height = "auto";
  field().style.height = `${Math.min(field().scrollHeight + 2, 200)}px`;
}
