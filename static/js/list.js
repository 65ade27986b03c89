// The list of conversations: kept sorted, changed row by row, never redrawn.

import { elementsOf, fetchPiece, fill } from "./fetching.js";

const list = () => document.getElementById("conversation-list");
const rows = () => [...list().querySelectorAll(":scope > [data-conversation]")];
const more = () => list().querySelector(":scope > [data-more]");
const rowOf = (id) => list().querySelector(`:scope > [data-conversation="${id}"]`);

export const currentView = () =>
  document.querySelector(".tabs [aria-current]")?.dataset.view ?? "all";

/** Fetch one conversation's row and put it where it belongs; gone where it belongs nowhere. */
export async function refreshRow(id, openedId) {
  const view = currentView();
  const piece = await fetchPiece(`/inbox/${id}/row/?view=${view}`);
  if (view !== currentView()) return;
  if (piece.status === 204 || piece.status === 404) return drop(rowOf(id));
  if (!piece.ok) return;
  const [row] = elementsOf(piece.html, "[data-conversation]");
  if (row) place(row, openedId);
}

/** Fetch the first page and bring what is on screen in line with it. */
export async function refreshList(openedId) {
  const view = currentView();
  const piece = await fetchPiece(`/inbox/rows/?view=${view}`);
  if (!piece.ok || view !== currentView()) return;
  const fresh = elementsOf(piece.html, "[data-conversation]");
  if (!fresh.length) return fill(list(), piece.html);
  list().querySelector(":scope > .empty, :scope > .skeleton")?.remove();
  const isWhole = !elementsOf(piece.html, "[data-more]").length;
  forgetAbsent(fresh, isWhole);
  for (const row of fresh) place(row, openedId);
}

/** Show another view of the list from its beginning. */
export async function showView(view, openedId) {
  for (const tab of document.querySelectorAll(".tabs [data-view]")) {
    if (tab.dataset.view === view) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
  list().replaceChildren(document.getElementById("skeleton").content.cloneNode(true));
  const piece = await fetchPiece(`/inbox/rows/?view=${view}`);
  if (view !== currentView()) return;
  if (!piece.ok) return showFailure(() => showView(view, openedId));
  fill(list(), piece.html);
  markOpened(openedId);
}

/** Mark the row of the conversation that is open. */
export function markOpened(id) {
  for (const row of rows()) {
    const link = row.querySelector("a");
    if (row.dataset.conversation === String(id)) link.setAttribute("aria-current", "true");
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
  all[next]?.querySelector("a").focus();
}

/** Give the focus back to the row of a conversation. */
export function focusRow(id) {
  (rowOf(id) ?? rows()[0])?.querySelector("a")?.focus();
}

function showFailure(again) {
  const failure = document.getElementById("loading-failed").content.cloneNode(true);
  failure.querySelector("[data-retry-load]").addEventListener("click", again);
  list().replaceChildren(failure);
}

function place(row, openedId) {
  const old = rowOf(row.dataset.conversation);
  const after = rows().find((each) => each !== old && comesBefore(row, each)) ?? more();
  // Older than what is loaded: it comes with the next page.
  if (!old && after && after === more()) return;
  if (row.dataset.conversation === String(openedId)) {
    row.querySelector("a").setAttribute("aria-current", "true");
  }
  list().querySelector("[data-empty]")?.remove();
  const stays = old && old.nextElementSibling === after;
  if (stays && old.outerHTML === row.outerHTML) return;
  const hadFocus = old?.contains(document.activeElement);
  if (stays) old.replaceWith(row);
  else {
    old?.remove();
    list().insertBefore(row, after ?? null);
    row.classList.add("arriving");
    row.addEventListener("animationend", () => row.classList.remove("arriving"), { once: true });
  }
  if (hadFocus) row.querySelector("a").focus({ preventScroll: true });
}

function comesBefore(one, other) {
  const [a, b] = [Number(one.dataset.at), Number(other.dataset.at)];
  if (a !== b) return a > b;
  return Number(one.dataset.conversation) > Number(other.dataset.conversation);
}

function forgetAbsent(fresh, isWhole) {
  const present = new Set(fresh.map((row) => row.dataset.conversation));
  const last = fresh[fresh.length - 1];
  for (const row of rows()) {
    const isCovered = isWhole || comesBefore(row, last);
    if (isCovered && !present.has(row.dataset.conversation)) row.remove();
  }
  if (isWhole) more()?.remove();
}

function drop(row) {
  row?.remove();
  if (!rows().length && !more()) refreshList();
}
