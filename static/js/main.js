// Starts what every page of the team has.

import * as alerts from "./alerts.js";
import * as dialogs from "./dialogs.js";
import { fetchPiece, SIGNED_OUT } from "./fetching.js";
import * as inbox from "./inbox.js";
import * as keys from "./keys.js";
import { keepLive } from "./live.js";
import * as notices from "./notices.js";
import * as panel from "./panel.js";
import * as toasts from "./toasts.js";
import * as unfinished from "./unfinished.js";
import * as replyWindow from "./window.js";
import { refreshTimes } from "./words.js";

const TIMES_MS = 30_000;
// A page that has just opened connects in silence; a bar for a moment would only flicker.
const QUIET_MS = 2_000;

const product = document.title.split(" · ").pop();
let name = document.title.split(" · ").slice(0, -1).join(" · ");
let unread = Number.parseInt(document.querySelector("[data-unread] span").textContent, 10) || 0;

toasts.begin();
dialogs.begin();
panel.begin();
keys.begin();
alerts.begin();
notices.begin();
unfinished.begin();
menus();
document.querySelector(".subjects [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
document.addEventListener("unread", (event) => showUnread(event.detail));
document.addEventListener("mentions", (event) => showCount("[data-mentions]", event.detail));
document.addEventListener("titled", (event) => {
  name = event.detail;
  showTitle();
});
document.addEventListener(SIGNED_OUT, () => showState("refused"));
document.addEventListener("changed", (event) => changed(event.detail));
document.body.addEventListener("htmx:configRequest", rememberSearch);
showTitle();
if (inbox.isHere()) {
  inbox.begin();
  replyWindow.begin();
}
keepLive({
  path: document.body.dataset.livePath,
  onEvent: (event) => {
    notices.hear(event);
    changed(event);
  },
  onStale: refreshAll,
  onState: showState,
});
setInterval(refreshTimes, TIMES_MS);
setTimeout(() => document.getElementById("live-state").setAttribute("data-shown", ""), QUIET_MS);

function changed(event) {
  if (event.kind === "alerts") return alerts.heard(event);
  if (event.kind === "instance") showNumbersAnew();
  if (event.kind === "answering" && !inbox.isHere()) return;
  if (inbox.isHere()) replyWindow.changed(event);
  if (inbox.isHere() && event.conversation) inbox.changed(event);
  else if (event.kind !== "mention" || String(event.user) === document.body.dataset.me) fetchPiece("/unread/");
}

// The page of the numbers hears this and asks for them again.
function showNumbersAnew() {
  document.body.dispatchEvent(new Event("instances"));
}

function refreshAll() {
  showNumbersAnew();
  alerts.refresh();
  if (!inbox.isHere()) return fetchPiece("/unread/");
  inbox.refreshAll();
  replyWindow.refresh();
}

function showState(state) {
  document.getElementById("live-state").dataset.state = state;
  document.body.dataset.live = state;
  for (const word of document.querySelectorAll("[data-live-word]")) {
    word.hidden = word.dataset.liveWord !== state;
  }
}

function showUnread(count) {
  unread = count;
  showCount("[data-unread]", count);
  showTitle();
}

function showCount(selector, count) {
  const badge = document.querySelector(selector);
  badge.hidden = count === 0;
  badge.querySelector("span").textContent = said(count);
}

function showTitle() {
  const page = name ? `${name} · ${product}` : product;
  document.title = unread ? `(${said(unread)}) ${page}` : page;
}

function said(count) {
  return count < 100 ? String(count) : "99+";
}

function menus() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
      if (!event.target.closest(".menu-entry")) continue;
      menu.open = false;
      // What a dialog gives the focus back to must be in sight.
      menu.querySelector("summary").focus();
    }
  });
}

function rememberSearch(event) {
  if (!event.target.matches?.("[data-address]")) return;
  const asked = new URLSearchParams(new FormData(event.target.form));
  for (const [name, value] of [...asked]) if (!value.trim()) asked.delete(name);
  history.replaceState(null, "", String(asked) ? `?${asked}` : location.pathname);
}
