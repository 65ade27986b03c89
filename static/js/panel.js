// The lead beside the conversation: folded or not as it was left.

import { fetchPiece, fill } from "./fetching.js";

const KEY = "amda.panel";
const WIDE = window.matchMedia("(min-width: 1100px)");

const panel = () => document.getElementById("lead-panel");
const opener = () => document.querySelector("[data-panel]");

/** Follow the conversation that was just opened. */
export function follow() {
  if (!panel()) return;
  if (!opener()) return hide();
  if (WIDE.matches && isWanted()) show();
  else hide();
}

/** Fetch it again, if it is shown and nobody is writing in it. */
export function refresh() {
  if (!panel() || panel().hidden || panel().contains(document.activeElement)) return;
  if (opener()) load();
}

/** Hide it where it covers the conversation. Answers whether there was something to hide. */
export function stepBack() {
  if (!panel() || panel().hidden || WIDE.matches) return false;
  hide();
  opener()?.focus();
  return true;
}

export function begin() {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-panel]")) toggle();
    if (event.target.closest("[data-panel-close]")) {
      toggle();
      opener()?.focus();
    }
  });
}

function toggle() {
  const wanted = panel().hidden;
  if (WIDE.matches) remember(wanted);
  if (wanted) show();
  else hide();
}

function show() {
  panel().hidden = false;
  opener()?.setAttribute("aria-expanded", "true");
  load();
}

function hide() {
  panel().hidden = true;
  panel().replaceChildren();
  opener()?.setAttribute("aria-expanded", "false");
}

async function load() {
  const address = opener().dataset.panel;
  if (panel().dataset.address !== address || !panel().firstElementChild) {
    panel().replaceChildren(document.getElementById("skeleton").content.cloneNode(true));
  }
  panel().dataset.address = address;
  const piece = await fetchPiece(address);
  if (panel().hidden || panel().dataset.address !== address) return;
  if (piece.ok) fill(panel(), piece.html);
  else panel().replaceChildren(document.getElementById("loading-failed").content.cloneNode(true));
  panel().querySelector("[data-retry-load]")?.addEventListener("click", load);
}

function isWanted() {
  try {
    return localStorage.getItem(KEY) !== "folded";
  } catch {
    return true;
  }
}

function remember(wanted) {
  try {
    localStorage.setItem(KEY, wanted ? "open" : "folded");
  } catch {
    // Without storage it is simply open again on the next page.
  }
}
