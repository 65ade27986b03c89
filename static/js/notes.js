// Notes for the team, written below the conversation; "@" offers colleagues.

import { mergeHtml, openedId } from "./conversation.js";
import { elementsOf, fetchPiece, fill } from "./fetching.js";
import * as unfinished from "./unfinished.js";
import { words } from "./words.js";

// What stands between the last "@" and the caret; names have at most three words.
const NAMING = /(?:^|\s)@([^@\n]{0,40})$/;

const form = () => document.getElementById("note-form");
const field = () => document.getElementById("note-text");
const offered = () => document.getElementById("note-people");
const problem = () => document.getElementById("note-problem");
const options = () => [...offered().querySelectorAll("[data-person]")];
const openers = () => document.querySelectorAll("[data-note-toggle]");

let named = new Map();
let asked = "";

/** Listen in the conversation that was just opened. */
export function begin() {
  if (!form()) return;
  for (const opener of openers()) opener.addEventListener("click", toggle);
  const left = unfinished.read(openedId());
  named = new Map(left.named);
  field().value = left.text;
  if (left.text) open();
  field().addEventListener("input", () => {
    unfinished.keep(openedId(), field().value, named);
    offer();
  });
  field().addEventListener("keydown", press);
  offered().addEventListener("mousedown", (event) => {
    const option = event.target.closest("[data-person]");
    if (!option) return;
    event.preventDefault();
    choose(option);
  });
  form().addEventListener("submit", (event) => {
    event.preventDefault();
    keep();
  });
}

/** Open the field of a note and put the focus there. */
export function open() {
  if (!form()) return;
  form().hidden = false;
  tell(true);
  field().focus();
}

/** Close it again. Answers whether it was open. */
export function close() {
  if (!form() || form().hidden) return false;
  if (!offered().hidden) {
    hide();
    return true;
  }
  form().hidden = true;
  tell(false);
  document.getElementById("composer-text")?.focus();
  return true;
}

function toggle() {
  if (form().hidden) open();
  else close();
}

function tell(isOpen) {
  for (const opener of openers()) {
    if (opener.hasAttribute("aria-expanded")) opener.setAttribute("aria-expanded", String(isOpen));
  }
}

function press(event) {
  if (event.isComposing) return;
  if (!offered().hidden && handles(event)) return event.preventDefault();
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  keep();
}

function handles(event) {
  const all = options();
  const at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown") return select(all[(at + 1) % all.length]);
  if (event.key === "ArrowUp") return select(all[(at - 1 + all.length) % all.length]);
  const meant = all[Math.max(at, 0)];
  if (event.key === "Enter" || event.key === "Tab") return isMeant(meant) && choose(meant);
  return false;
}

/** Whoever types quicker than the list comes has gone on, and means nobody of it. */
function isMeant(option) {
  const wanted = naming();
  const name = option.dataset.name.toLocaleLowerCase();
  return wanted === offered().dataset.answers || name.includes(wanted?.trim().toLocaleLowerCase());
}

const naming = () => field().value.slice(0, field().selectionStart).match(NAMING)?.[1];

async function offer() {
  const wanted = naming();
  if (wanted === undefined) return hide();
  asked = wanted;
  const piece = await fetchPiece(`/inbox/${openedId()}/people/?q=${encodeURIComponent(wanted)}`);
  if (!piece.ok || asked !== wanted) return;
  fill(offered(), piece.html);
  offered().dataset.answers = wanted;
  const [first] = options();
  if (!first) return hide();
  offered().hidden = false;
  select(first);
}

function select(option) {
  for (const each of options()) each.setAttribute("aria-selected", String(each === option));
  field().setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
  return true;
}

function choose(option) {
  const caret = field().selectionStart;
  const before = field().value.slice(0, caret);
  const start = before.lastIndexOf("@");
  const text = `@${option.dataset.name} `;
  named.set(option.dataset.person, text.trim());
  field().setRangeText(text, start, caret, "end");
  unfinished.keep(openedId(), field().value, named);
  hide();
  return true;
}

function hide() {
  asked = "";
  offered().hidden = true;
  field().removeAttribute("aria-activedescendant");
}

async function keep() {
  const id = openedId();
  const text = field().value;
  if (!text.trim() || form().dataset.sending) return;
  const body = new URLSearchParams({ text });
  for (const [person, name] of named) if (text.includes(name)) body.append("named", person);
  form().dataset.sending = "yes";
  const piece = await fetchPiece(form().action, { method: "POST", body });
  if (piece.ok) unfinished.forget(id);
  if (id !== openedId()) return;
  delete form().dataset.sending;
  if (!piece.ok) return explain(piece);
  field().value = "";
  named = new Map();
  problem().replaceChildren();
  mergeHtml(piece.html);
  close();
}

function explain(piece) {
  const [refusal] = piece.status === 422 ? elementsOf(piece.html, ".problem") : [];
  if (refusal) return problem().replaceChildren(refusal);
  const line = document.createElement("p");
  line.className = "problem";
  line.textContent = piece.status === 403 ? words.forbidden : words.failed;
  problem().replaceChildren(line);
}
