// Several conversations at once: selected by box or key, then assigned, closed, reopened, read.

import { filtersOf } from "./addresses.js";
import { fetchPiece } from "./fetching.js";
import * as list from "./list.js";
import { toast } from "./toasts.js";
import { words } from "./words.js";

const bar = () => document.getElementById("picked");
const boxes = () => [...document.querySelectorAll("#conversation-list [data-pick]")];
const chosen = new Set();

export function begin() {
  if (!bar()) return;
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick]")) pick(event.target.value, event.target.checked);
  });
  document.addEventListener("click", (event) => {
    const doer = event.target.closest("[data-several]");
    if (doer) act(doer.dataset.several, doer.dataset.to);
    if (event.target.closest("[data-pick-none]")) clear();
  });
  // Rows are drawn anew as they change; what was selected stays so.
  new MutationObserver(draw).observe(document.getElementById("conversation-list"), { childList: true });
}

/** Select the current row, or take it out again. */
export function toggle() {
  const box = list.current()?.querySelector("[data-pick]");
  if (box) pick(box.value, !chosen.has(box.value));
}

/** Select every conversation that is loaded, or none where all are. */
export function toggleAll() {
  const all = boxes().map((box) => box.value);
  if (all.every((id) => chosen.has(id))) return clear();
  all.forEach((id) => chosen.add(id));
  draw();
}

/** Do with the selection what a key says, as far as one may. Answers whether there is one. */
export function press(act) {
  if (!bar() || !chosen.size) return false;
  const wanted = act === "close" && filtersOf().get("view") === "closed" ? "reopen" : act;
  bar().querySelector(`[data-act="${wanted}"]`)?.click();
  return true;
}

/** Select nothing. Answers whether something was. */
export function clear() {
  const had = chosen.size > 0;
  chosen.clear();
  draw();
  return had;
}

function pick(id, isChosen) {
  if (isChosen) chosen.add(id);
  else chosen.delete(id);
  draw();
}

function draw() {
  if (!bar()) return;
  for (const box of boxes()) box.checked = chosen.has(box.value);
  bar().hidden = !chosen.size;
  bar().querySelector("[data-picked-count]").textContent = String(chosen.size);
  document.getElementById("conversation-list").classList.toggle("picking", chosen.size > 0);
}

async function act(action, to) {
  if (!chosen.size) return;
  const body = new URLSearchParams({ action, conversations: [...chosen].join(",") });
  if (to !== undefined) body.set("to", to);
  document.getElementById("dialog").close();
  const piece = await fetchPiece("/inbox/several/", { method: "POST", body, tells: true });
  if (piece.ok) return clear();
  toast({ text: reason(piece) });
}

function reason(piece) {
  if (piece.status === 422) {
    return new DOMParser().parseFromString(piece.html, "text/html").body.textContent.trim();
  }
  return piece.status === 403 ? words.forbidden : words.failed;
}
