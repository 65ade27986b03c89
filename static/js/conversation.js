// The open conversation: bubbles kept sorted and grouped, the scroll position kept.

import { query } from "./addresses.js";
import { elementsOf, fetchPiece, fill } from "./fetching.js";

const TOGETHER_US = 5 * 60 * 1_000_000;
const AT_BOTTOM_PX = 48;

const pane = () => document.getElementById("pane");
const messages = () => document.getElementById("messages");
const scroller = () => document.getElementById("message-scroll");
// Messages and notes, "message-12" and "note-3".
const entries = () => [...messages().querySelectorAll(":scope > [data-entry]")];
const entryOf = (entry) => messages().querySelector(`:scope > [data-entry="${entry}"]`);

let watcher;
let sizes;
// Whether the newest message is in sight, and so stays in sight when the space changes.
let isStuck = true;

/** The id of the open conversation, or null. */
export const openedId = () => messages()?.dataset.of ?? null;

/** Whether what this person sees here is read for the whole team. */
export const marksRead = () => "toRead" in (messages()?.dataset ?? {});

/** Load a conversation into the pane, at a message or at its end. Answers whether it is shown. */
export async function load(id, target = {}) {
  pane().replaceChildren(document.getElementById("skeleton").content.cloneNode(true));
  const piece = await fetchPiece(`/inbox/${id}/pane/${query(target)}`);
  if (piece.status === 404 || piece.status === 403) {
    location.assign(`/inbox/${id}/`);
    return false;
  }
  if (!piece.ok) {
    showFailure(() => load(id, target).then((shown) => shown && announceOpened()));
    return false;
  }
  fill(pane(), piece.html);
  return true;
}

/** Prepare what was just put into the pane: where one reads on in sight, the rest on the way. */
export function begin() {
  if (!messages()) return;
  if (!jumpTo(messages().dataset.target) && !toFirstUnread()) toBottom();
  watchBothWays();
  stayAtBottom();
  document.getElementById("new-messages")?.addEventListener("click", toNewest);
}

/** Bring an entry into sight and mark it for a moment. Answers whether it is loaded. */
export function jumpTo(entry) {
  const bubble = entry && entryOf(entry);
  if (!bubble) return false;
  isStuck = false;
  bubble.scrollIntoView({ block: "center" });
  bubble.classList.remove("jumped-to");
  // Asking for its size makes the browser notice that the mark was gone.
  bubble.getBoundingClientRect();
  bubble.classList.add("jumped-to");
  return true;
}

/** Whether something in it was unread when it was fetched. */
export const isUnread = () => Number(messages()?.dataset.toRead ?? 0) > 0;

/** Bring the first unread message into sight. Answers whether there is one. */
export function toFirstUnread() {
  const line = messages()?.querySelector(":scope > [data-unread-line]");
  if (!line) return false;
  isStuck = false;
  line.scrollIntoView({ block: "start" });
  return true;
}

/** Nothing is open. */
export function clear() {
  pane().replaceChildren(document.getElementById("nothing-open").content.cloneNode(true));
}

/** Fetch one message or note and put it where it belongs. Answers the entry when it is new. */
export async function refreshEntry(kind, id) {
  const conversation = openedId();
  const piece = await fetchPiece(`/${kind}s/${id}/`);
  if (conversation !== openedId()) return null;
  if (piece.status === 404) entryOf(`${kind}-${id}`)?.remove();
  if (!piece.ok) return null;
  const [entry] = elementsOf(piece.html, "[data-entry]");
  if (!entry) return null;
  if (gap() && !entryOf(entry.dataset.entry)) {
    showChip();
    return null;
  }
  return merge([entry])[0] ?? null;
}

/** Fetch the messages that are on screen and bring them in line. Answers the new ones. */
export async function refreshMessages() {
  const conversation = openedId();
  const piece = await fetchPiece(`/inbox/${conversation}/messages/?${onScreen()}`);
  if (!piece.ok || conversation !== openedId()) return [];
  const fresh = elementsOf(piece.html, "[data-entry]");
  return merge(gap() ? fresh.filter((entry) => entryOf(entry.dataset.entry)) : fresh);
}

/** Fetch what stands above the messages. */
export async function refreshHead() {
  const conversation = openedId();
  const piece = await fetchPiece(`/inbox/${conversation}/head/${query()}`);
  const head = document.getElementById("pane-head");
  if (!piece.ok || conversation !== openedId() || !head) return;
  const [fresh] = elementsOf(piece.html, "#pane-head");
  const expanded = head.querySelector("[data-panel]")?.getAttribute("aria-expanded");
  if (expanded) fresh?.querySelector("[data-panel]")?.setAttribute("aria-expanded", expanded);
  if (!fresh || fresh.isEqualNode(head) || head.contains(document.activeElement)) return;
  head.replaceWith(fresh);
  window.htmx?.process(fresh);
}

/** Show what is being sent, before the server has it. */
export function showPending(text, reference) {
  const bubble = document
    .getElementById("pending-message")
    .content.firstElementChild.cloneNode(true);
  bubble.dataset.reference = reference;
  bubble.querySelector(".text").textContent = text;
  messages().querySelector("[data-empty]")?.remove();
  messages().append(bubble);
  toNewest();
  return bubble;
}

/** Put the html of a message or a note where it belongs. */
export function mergeHtml(html) {
  return merge(elementsOf(html, "[data-entry]"));
}

/** Draw groups and day lines anew, after bubbles came, went or changed. */
export function regroup() {
  if (!messages()) return;
  let earlier = null;
  for (const bubble of entries()) {
    const joins = earlier !== null && together(earlier, bubble);
    bubble.classList.toggle("first-of-day", earlier?.dataset.day !== bubble.dataset.day);
    bubble.classList.toggle("begins", !joins);
    earlier?.classList.toggle("ends", !joins);
    earlier = bubble;
  }
  earlier?.classList.add("ends");
}

function stayAtBottom() {
  sizes?.disconnect();
  isStuck = isAtBottom() && !gap();
  const seen = scroller();
  sizes = new ResizeObserver(() => seen.isConnected && isStuck && toBottom());
  sizes.observe(seen);
  sizes.observe(messages());
  seen.addEventListener(
    "scroll",
    () => {
      isStuck = isAtBottom() && !gap();
      if (isStuck) hideChip();
    },
    { passive: true },
  );
}

function announceOpened() {
  document.dispatchEvent(new CustomEvent("conversation-opened"));
}

function merge(fresh) {
  const wasAtBottom = isAtBottom() && !gap();
  const keep = distanceFromEnd();
  const arrived = fresh.filter(place);
  regroup();
  if (wasAtBottom) toBottom();
  else if (arrived.some((bubble) => !bubble.nextElementSibling)) showChip();
  else scroller().scrollTop = scroller().scrollHeight - keep;
  return arrived;
}

function place(bubble) {
  const old = entryOf(bubble.dataset.entry);
  if (old && sameContent(old, bubble)) return false;
  messages().querySelector("[data-empty]")?.remove();
  const { reference } = bubble.dataset;
  if (reference) messages().querySelector(`.pending[data-reference="${reference}"]`)?.remove();
  if (old && old.dataset.at === bubble.dataset.at) old.replaceWith(bubble);
  else {
    old?.remove();
    const next = entries().find((each) => isEarlier(bubble, each));
    const end = messages().querySelector(":scope > [data-newer], :scope > .pending");
    messages().insertBefore(bubble, next ?? end);
  }
  window.htmx?.process(bubble);
  return !old;
}

function sameContent(old, fresh) {
  return (
    old.dataset.status === fresh.dataset.status &&
    old.dataset.at === fresh.dataset.at &&
    old.innerHTML === fresh.innerHTML
  );
}

function isEarlier(one, other) {
  const [a, b] = [Number(one.dataset.at), Number(other.dataset.at)];
  return a !== b ? a < b : Number(one.dataset.message ?? 0) < Number(other.dataset.message ?? 0);
}

function together(earlier, later) {
  return (
    earlier.dataset.sender === later.dataset.sender &&
    earlier.dataset.day === later.dataset.day &&
    Number(later.dataset.at) - Number(earlier.dataset.at) < TOGETHER_US
  );
}

function watchBothWays() {
  watcher?.disconnect();
  const markers = [...messages().querySelectorAll(":scope > [data-older], :scope > [data-newer]")];
  if (!markers.length) return;
  watcher = new IntersectionObserver(
    (seen) => seen.forEach((each) => each.isIntersecting && loadMore(each.target)),
    { root: scroller(), rootMargin: "200px 0px" },
  );
  for (const marker of markers) {
    marker.querySelector("button").onclick = () => loadMore(marker);
    watcher.observe(marker);
  }
}

async function loadMore(marker) {
  if (marker.dataset.loading) return;
  marker.dataset.loading = "yes";
  const conversation = openedId();
  const piece = await fetchPiece(marker.dataset.older ?? marker.dataset.newer);
  if (conversation !== openedId() || !marker.isConnected) return;
  delete marker.dataset.loading;
  if (!piece.ok) return;
  const [fromEnd, fromStart] = [distanceFromEnd(), scroller().scrollTop];
  const wanted = marker.dataset.older ? "[data-entry], [data-older]" : "[data-entry], [data-newer]";
  const known = elementsOf(piece.html, wanted).filter(
    (each) => !each.dataset.entry || !entryOf(each.dataset.entry),
  );
  marker.replaceWith(...known);
  known.forEach((each) => window.htmx?.process(each));
  regroup();
  scroller().scrollTop = marker.dataset.older ? scroller().scrollHeight - fromEnd : fromStart;
  watchBothWays();
}

// What says that the newest messages are not loaded, because an older one was jumped to.
const gap = () => messages().querySelector(":scope > [data-newer]");

function onScreen() {
  const count = Math.max(entries().length, 30);
  const [first] = entries();
  if (!gap() || !first) return `count=${count}`;
  const at = new Date(Number(first.dataset.at) / 1000).toISOString();
  return `count=${count}&after=${encodeURIComponent(`${at}~0`)}`;
}

async function toNewest() {
  hideChip();
  if (gap()) await catchUp();
  toBottom();
}

async function catchUp() {
  const conversation = openedId();
  const piece = await fetchPiece(`/inbox/${conversation}/messages/`);
  if (!piece.ok || conversation !== openedId()) return;
  const pending = messages().querySelectorAll(":scope > .pending");
  fill(messages(), piece.html);
  messages().append(...pending);
  watchBothWays();
}

const distanceFromEnd = () => scroller().scrollHeight - scroller().scrollTop;
const isAtBottom = () => distanceFromEnd() - scroller().clientHeight < AT_BOTTOM_PX;

function toBottom() {
  scroller().scrollTop = scroller().scrollHeight;
}

function showChip() {
  const chip = document.getElementById("new-messages");
  if (chip) chip.hidden = false;
}

function hideChip() {
  const chip = document.getElementById("new-messages");
  if (chip) chip.hidden = true;
}

function showFailure(again) {
  const failure = document.getElementById("loading-failed").content.cloneNode(true);
  failure.querySelector("[data-retry-load]").addEventListener("click", again);
  pane().replaceChildren(failure);
}
