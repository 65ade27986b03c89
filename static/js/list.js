// The list of conversations, or of what was found: kept sorted, changed row by row.

import { filtersOf, query, targetOf } from "./addresses.js";
import { elementsOf, fetchPiece, fill } from "./fetching.js";
import { words } from "./words.js";

const ROWS = ":scope > [data-conversation], :scope > [data-found]";

// Rows come and go with every change; who is answering outlives them.
const beingAnswered = new Set();

const list = () => document.getElementById("conversation-list");
const rows = () => [...list().querySelectorAll(ROWS)];
const conversations = () => [...list().querySelectorAll(":scope > [data-conversation]")];
const more = () => list().querySelector(":scope > [data-more]");
const rowOf = (id) => list().querySelector(`:scope > [data-conversation="${id}"]`);
const isSearching = () => filtersOf().has("q");

/** Fetch one conversation's row and put it where it belongs; gone where it belongs nowhere. */
export async function refreshRow(id, openedId) {
  // What was found stays as it is; only what it shows of a conversation changes.
  if (isSearching() && !rowOf(id)) return;
  const asked = query();
  const piece = await fetchPiece(`/inbox/${id}/row/${asked}`);
  if (asked !== query()) return;
  if (piece.status === 204 || piece.status === 404) return drop(rowOf(id));
  if (!piece.ok) return;
  const [row] = elementsOf(piece.html, "[data-conversation]");
  if (!row) return;
  if (isSearching()) swap(rowOf(id), row, openedId);
  else place(row, openedId);
}

/** Fetch the first page and bring what is on screen in line with it. */
export async function refreshList(openedId) {
  if (isSearching()) return;
  const asked = query();
  const piece = await fetchPiece(`/inbox/rows/${asked}`);
  if (!piece.ok || asked !== query()) return;
  const fresh = elementsOf(piece.html, "[data-conversation]");
  if (!fresh.length) return fill(list(), piece.html);
  list().querySelector(":scope > .empty, :scope > .skeleton")?.remove();
  const isWhole = !elementsOf(piece.html, "[data-more]").length;
  forgetAbsent(fresh, isWhole);
  for (const row of fresh) place(row, openedId);
}

/** Show the list from its beginning as the address says it. */
export async function show(openedId) {
  tellFilters();
  const asked = query();
  const waiting = document.getElementById("skeleton").content.cloneNode(true);
  if (!list().querySelector(".skeleton")) list().replaceChildren(waiting);
  const piece = await fetchPiece(`/inbox/rows/${asked}`);
  if (asked !== query()) return;
  if (!piece.ok) return showFailure(() => show(openedId));
  fill(list(), piece.html);
  document.getElementById("list-scroll").scrollTop = 0;
  markOpened(openedId);
  conversations().forEach(markAnswering);
}

/** Mark the row of the conversation, or of the message, that is open. */
export function markOpened(id) {
  const { message } = targetOf();
  for (const row of rows()) {
    const link = row.querySelector("a.row");
    const isOpen = row.dataset.found
      ? row.dataset.found === message
      : row.dataset.conversation === String(id);
    if (isOpen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

/** Move the focus among the rows; from nowhere, to the open one or the first. */
export function step(direction) {
  const all = rows();
  const focused = all.findIndex((row) => row.contains(document.activeElement));
  const opened = all.findIndex((row) => row.querySelector("[aria-current]"));
  const from = focused >= 0 ? focused : opened;
  const next = from < 0 ? 0 : Math.min(Math.max(from + direction, 0), all.length - 1);
  all[next]?.querySelector("a.row").focus();
}

/** The row that has the focus, else the open one; null where there is none. */
export const current = () =>
  rows().find((row) => row.contains(document.activeElement)) ??
  rows().find((row) => row.querySelector("[aria-current]")) ??
  null;

/** Say or stop saying that a colleague is answering in a conversation. */
export function showAnswering(id, isAnswering) {
  if (isAnswering) beingAnswered.add(id);
  else beingAnswered.delete(id);
  const row = rowOf(id);
  if (row) markAnswering(row);
}

/** Give the focus back to the row of a conversation. */
export function focusRow(id) {
  (rowOf(id) ?? rows()[0])?.querySelector("a.row")?.focus();
}

/** The address of the first unread conversation but the open one, or null. */
export function nextUnread(openedId) {
  const unread = conversations().filter((row) => row.classList.contains("unread"));
  const next = unread.find((row) => row.dataset.conversation !== String(openedId));
  return next?.querySelector("a.row").href ?? null;
}

function tellFilters() {
  const asked = filtersOf();
  for (const tab of document.querySelectorAll(".tabs [data-view]")) {
    if (tab.dataset.view === (asked.get("view") ?? "all")) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
  document.getElementById("filter").dataset.dialog = `/inbox/filter/${query()}`;
  const field = document.getElementById("inbox-search");
  if (document.activeElement !== field) field.value = asked.get("q") ?? "";
}

function showFailure(again) {
  const failure = document.getElementById("loading-failed").content.cloneNode(true);
  failure.querySelector("[data-retry-load]").addEventListener("click", again);
  list().replaceChildren(failure);
}

function place(row, openedId) {
  const old = rowOf(row.dataset.conversation);
  const after = conversations().find((each) => each !== old && comesBefore(row, each)) ?? more();
  // Older than what is loaded: it comes with the next page.
  if (!old && after && after === more()) return;
  list().querySelector("[data-empty]")?.remove();
  const stays = old && old.nextElementSibling === after;
  if (stays) return swap(old, row, openedId);
  mark(row, openedId);
  const hadFocus = old?.contains(document.activeElement);
  old?.remove();
  list().insertBefore(row, after ?? null);
  row.classList.add("arriving");
  row.addEventListener("animationend", () => row.classList.remove("arriving"), { once: true });
  if (hadFocus) row.querySelector("a.row").focus({ preventScroll: true });
}

function swap(old, row, openedId) {
  mark(row, openedId);
  if (old.outerHTML === row.outerHTML) return;
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(row);
  if (hadFocus) row.querySelector("a.row").focus({ preventScroll: true });
}

function mark(row, openedId) {
  markAnswering(row);
  if (row.dataset.conversation !== String(openedId)) return;
  row.querySelector("a.row").setAttribute("aria-current", "true");
}

function markAnswering(row) {
  row.querySelector(".answering")?.remove();
  if (!beingAnswered.has(row.dataset.conversation)) return;
  const said = document.createElement("span");
  said.className = "answering";
  said.textContent = words.answering;
  row.querySelector(".row-facts")?.prepend(said);
}

function comesBefore(one, other) {
  const [a, b] = [Number(one.dataset.at), Number(other.dataset.at)];
  if (a !== b) return a > b;
  return Number(one.dataset.conversation) > Number(other.dataset.conversation);
}

function forgetAbsent(fresh, isWhole) {
  const present = new Set(fresh.map((row) => row.dataset.conversation));
  const last = fresh[fresh.length - 1];
  for (const row of conversations()) {
    const isCovered = isWhole || comesBefore(row, last);
    if (isCovered && !present.has(row.dataset.conversation)) row.remove();
  }
  if (isWhole) more()?.remove();
}

function drop(row) {
  row?.remove();
  if (!rows().length && !more()) refreshList();
}
