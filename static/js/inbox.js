// The inbox page: its address says which view and which conversation; everything follows it.

import { conversationOf, query, targetOf, withFilters } from "./addresses.js";
import * as answering from "./answering.js";
import * as composer from "./composer.js";
import * as conversation from "./conversation.js";
import { fetchPiece } from "./fetching.js";
import * as list from "./list.js";
import * as notes from "./notes.js";
import * as panel from "./panel.js";
import * as picks from "./picks.js";
import * as search from "./search.js";

const GATHER_MS = 120;
const MANY = 10;

const inbox = () => document.querySelector(".inbox");
const waiting = { conversations: new Set(), entries: new Set() };
let gathering = null;
let wanted = 0;
let listed = query();

/** Whether this page is the inbox. */
export const isHere = () => Boolean(inbox());

export function begin() {
  settle();
  search.begin(instead);
  picks.begin();
  document.addEventListener("click", follow);
  document.addEventListener("submit", narrow);
  document.addEventListener("conversation-opened", settle);
  document.addEventListener("visibilitychange", () => document.hidden || read());
  document.body.addEventListener("htmx:afterSettle", () => conversation.regroup());
  document.body.addEventListener("htmx:afterSwap", () => list.markOpened(conversation.openedId()));
  window.addEventListener("popstate", () => show(new URL(location.href)));
}

/** Go to an address of the inbox without leaving the page. */
export function go(url) {
  history.pushState(null, "", url);
  return show(url);
}

/** One step back: from a note, a selection, what was searched, the conversation. */
export function stepBack() {
  if (notes.close() || picks.clear()) return;
  const id = conversation.openedId();
  if (!id) return search.clear(instead);
  go(new URL(`/${query()}`, location.href));
  list.focusRow(id);
}

/** Show one of the four views. */
export const showView = (view) => go(withFilters({ view }));

/** The first unread message of the open conversation, else the next unread conversation. */
export function toUnread() {
  if (conversation.toFirstUnread()) return;
  const next = list.nextUnread(conversation.openedId());
  if (next) go(new URL(next));
}

/** Something changed: gather for a moment, then fetch each thing once. */
export function changed({ kind, conversation: id, message, note, user }) {
  if (!id) return;
  if (kind === "answering") return answering.hear(String(id), user);
  waiting.conversations.add(String(id));
  const isHere = String(id) === conversation.openedId();
  if (message && isHere) waiting.entries.add(`message ${message}`);
  if (note && isHere) waiting.entries.add(`note ${note}`);
  gathering ??= setTimeout(fetchChanged, GATHER_MS);
}

/** Fetch everything on screen: something may have been missed. */
export async function refreshAll() {
  const id = conversation.openedId();
  const jobs = [list.refreshList(id)];
  if (id) {
    jobs.push(arrive(conversation.refreshMessages()));
    jobs.push(conversation.refreshHead());
    panel.refresh();
  }
  await Promise.all(jobs);
}

async function fetchChanged() {
  gathering = null;
  const conversations = [...waiting.conversations];
  const entries = [...waiting.entries];
  waiting.conversations.clear();
  waiting.entries.clear();
  const opened = conversation.openedId();
  if (entries.length > MANY) await arrive(conversation.refreshMessages());
  else await Promise.all(entries.map((entry) => arrive(one(conversation.refreshEntry(...entry.split(" "))))));
  if (opened && conversations.includes(opened)) conversation.refreshHead();
  if (conversations.length > MANY) list.refreshList(opened);
  else conversations.forEach((id) => list.refreshRow(id, opened));
}

const one = async (promise) => [await promise].filter(Boolean);

async function arrive(promise) {
  const received = (await promise).filter((entry) => entry.classList.contains("in"));
  if (!received.length) return;
  announce(received[received.length - 1]);
  // Before the row is fetched, so that no unread mark flashes beside what is being read.
  await read();
}

function announce(bubble) {
  const text = bubble.querySelector(".text, .kind, .tombstone")?.textContent ?? "";
  const name = document.querySelector("#pane-head h2")?.textContent.trim() ?? "";
  document.getElementById("announcer").textContent = `${name}: ${text.trim()}`;
}

async function read() {
  const id = conversation.openedId();
  if (!id || document.hidden || !conversation.marksRead()) return;
  await fetchPiece(`/inbox/${id}/read/`, { method: "POST" });
}

function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = event.target.closest(
    ".tabs a, #conversation-list a.row, #conversation-list a.tag, #lead-panel .mini-rows a, [data-back]",
  );
  if (!link) return;
  event.preventDefault();
  if (link.matches("[data-back]")) return stepBack();
  if (link.matches(".tabs a")) return go(withFilters({ view: link.dataset.view }));
  if (link.matches("a.tag")) return go(new URL(location.pathname + new URL(link.href).search, location.href));
  return go(new URL(link.href));
}

function narrow(event) {
  if (!event.target.matches("[data-filters]")) return;
  event.preventDefault();
  event.target.closest("dialog")?.close();
  const chosen = Object.fromEntries(new FormData(event.target));
  go(withFilters({ number: "", person: "", stage: "", tag: "", vip: "", unread: "", ...chosen }));
}

function instead(url) {
  history.replaceState(null, "", url);
  return show(url);
}

async function show(url) {
  const id = conversationOf(url);
  const target = targetOf(url);
  const [entry] = Object.entries(target).map(([kind, pk]) => `${kind}-${pk}`);
  const turn = ++wanted;
  inbox().dataset.open = id ? "conversation" : "list";
  list.markOpened(id);
  if (listed !== query()) {
    listed = query();
    picks.clear();
    list.show(id);
  }
  if (id === conversation.openedId() && (!entry || conversation.jumpTo(entry))) return;
  if (!id) return close();
  const shown = await conversation.load(id, target);
  // Somebody was quicker than the line and has opened another one since.
  if (shown && turn === wanted) settle();
}

function close() {
  conversation.clear();
  panel.follow();
  title();
}

function settle() {
  conversation.begin();
  composer.begin();
  notes.begin();
  answering.begin();
  panel.follow();
  list.markOpened(conversation.openedId());
  look();
  title();
}

/** Somebody has it before their eyes now: it is read, and its row says so. */
async function look() {
  const id = conversation.openedId();
  if (!id) return;
  if (conversation.isUnread()) await read();
  list.refreshRow(id, conversation.openedId());
}

function title() {
  const name = document.querySelector("#pane-head h2")?.textContent.trim();
  const fallback = document.querySelector(".list-column h1").textContent;
  document.dispatchEvent(new CustomEvent("titled", { detail: name || fallback }));
}
