// The alerts: the widget keeps itself true, cards leave at once, other pages refresh what they show
// of alerts and the count.

import { fetchPiece } from "./fetching.js";
import { toast } from "./toasts.js";
import { words } from "./words.js";

const GATHER_MS = 120;
// Also while the line is live: what was inserted by a program nobody has announced.
const POLL_MS = 60_000;

const widget = () => document.getElementById("alerts");
let gathering = null;
let turn = 0;

export function begin() {
  if (!document.querySelector("[data-alert-count]") && !widget()) return;
  document.addEventListener("alerts-count", (event) => showCount(event.detail));
  document.addEventListener("click", onClick);
  document.addEventListener("submit", onSubmit);
  document.body.addEventListener("acted", () => {
    document.getElementById("dialog").close();
    gather();
  });
  setInterval(refresh, POLL_MS);
  if (!widget()) refresh();
}

/** Something was told over the live line. */
export function heard(event) {
  if (event.kind === "alerts") gather();
}

/** Fetch what is on screen; the line was down, or somebody asked. */
export async function refresh() {
  if (!widget()) return refreshPieces();
  const mine = ++turn;
  const busy = setTimeout(() => widget().setAttribute("aria-busy", "true"), 150);
  const piece = await fetchPiece(widget().dataset.widget + location.search);
  clearTimeout(busy);
  if (mine !== turn) return;
  widget().setAttribute("aria-busy", "false");
  if (piece.ok) show(piece.html);
  else fail();
}

// Today and a lead's page: each marked piece that says something else is put in anew; what somebody
// is writing in, or a history that was opened further than a page, stays.
async function refreshPieces() {
  const page = document.querySelector("[data-alerts-from]");
  if (!page) return fetchPiece("/alerts/count/");
  const mine = ++turn;
  const piece = await fetchPiece(page.dataset.alertsFrom);
  if (mine !== turn || !piece.ok) return;
  const holder = document.createElement("template");
  holder.innerHTML = piece.html;
  for (const before of page.querySelectorAll("[data-fresh]")) {
    const after = holder.content.querySelector(`[data-fresh="${before.dataset.fresh}"]`);
    if (!after || saidBy(before) === saidBy(after)) continue;
    if (before.contains(document.activeElement) || before.children.length > after.children.length + 1) continue;
    before.replaceWith(after);
    window.htmx?.process(after);
  }
}

const saidBy = (element) => element.textContent.replace(/\s+/g, " ");

function gather() {
  gathering ??= setTimeout(() => {
    gathering = null;
    refresh();
  }, GATHER_MS);
}

function show(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const openMenu = document.querySelector("#alerts details[open]")?.closest("[data-card]")?.dataset.card;
  const fresh = holder.content;
  if (!document.querySelector("#alerts .cards") || !fresh.querySelector(".cards")) {
    widget().replaceChildren(...fresh.children);
  } else {
    swap(".alerts-head", fresh);
    swapCards(fresh);
    widget().querySelector(".problem")?.remove();
  }
  if (openMenu) card(openMenu)?.querySelector("details")?.setAttribute("open", "");
  window.htmx?.process(widget());
}

function swap(selector, fresh) {
  const [before, after] = [widget().querySelector(selector), fresh.querySelector(selector)];
  if (before.textContent !== after.textContent) before.replaceWith(after);
}

// Card by card, so that nothing flickers and focus stays where it is.
function swapCards(fresh) {
  const list = widget().querySelector(".cards");
  const wanted = [...fresh.querySelectorAll("[data-card]")];
  const keys = new Set(wanted.map((each) => each.dataset.card));
  for (const each of [...list.children]) if (!keys.has(each.dataset.card)) each.remove();
  wanted.forEach((each, index) => {
    const known = card(each.dataset.card);
    const here = list.children[index];
    if (!known) {
      each.classList.add("arriving");
      list.insertBefore(each, here ?? null);
    } else {
      if (known !== here) list.insertBefore(known, here ?? null);
      if (saysSomethingElse(known, each) && !known.contains(document.activeElement)) known.replaceWith(each);
    }
  });
}

function saysSomethingElse(known, each) {
  const said = (element) =>
    element.className.replace(" arriving", "") +
    [...element.querySelectorAll("strong, .alert-message, .severity, .button, a")].map((one) => one.textContent.trim()).join("|");
  return said(known) !== said(each);
}

function card(key) {
  return [...widget().querySelectorAll("[data-card]")].find((each) => each.dataset.card === key);
}

function fail() {
  if (widget().querySelector(".problem")) return;
  widget().prepend(document.getElementById("alerts-failed").content.cloneNode(true));
}

function onClick(event) {
  const button = event.target.closest("[data-refresh]");
  if (!button) return;
  event.preventDefault();
  refresh();
}

async function onSubmit(event) {
  const form = event.target.closest("[data-alert-form]");
  if (!form) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const gone = form.closest("[data-card]");
  const next = gone?.nextElementSibling ?? gone?.previousElementSibling;
  if (gone) gone.hidden = true;
  const piece = await fetchPiece(form.action, { method: "POST", body });
  if (!piece.ok) {
    if (gone) gone.hidden = false;
    return toast({ text: piece.status === 403 ? words.forbidden : words.failed });
  }
  if (form.dataset.leads) return location.assign(form.dataset.leads);
  gone?.remove();
  next?.querySelector("button, a")?.focus({ preventScroll: true });
  refresh();
}

function showCount(count) {
  const badge = document.querySelector("[data-alert-count]");
  if (!badge) return;
  badge.hidden = count === 0;
  badge.querySelector("span").textContent = count < 100 ? String(count) : "99+";
}
