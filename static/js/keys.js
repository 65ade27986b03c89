// The keyboard: one letter each, silent while somebody writes or a dialog is open.

import * as composer from "./composer.js";
import * as dialogs from "./dialogs.js";
import * as inbox from "./inbox.js";
import * as list from "./list.js";
import * as notes from "./notes.js";
import * as panel from "./panel.js";
import * as picks from "./picks.js";
import * as quoting from "./quoting.js";
import * as replies from "./replies.js";
import * as search from "./search.js";

const CHORD_MS = 1_500;
const WRITING = "input, textarea, select, [contenteditable]";

const PLAIN = {
  j: () => inbox.isHere() && list.step(1),
  k: () => inbox.isHere() && list.step(-1),
  s: () => search.focus(),
  f: () => document.getElementById("filter")?.click(),
  u: () => inbox.isHere() && inbox.toUnread(),
  r: () => composer.focus(),
  q: () => quoting.chooseNewest(),
  "/": () => replies.open(),
  n: () => notes.open(),
  x: () => inbox.isHere() && picks.toggle(),
  X: () => inbox.isHere() && picks.toggleAll(),
  p: () => document.querySelector("[data-panel]")?.click(),
  w: () => document.querySelector(".rail [data-dialog]")?.click(),
  1: () => inbox.isHere() && inbox.showView("mine"),
  2: () => inbox.isHere() && inbox.showView("unassigned"),
  3: () => inbox.isHere() && inbox.showView("all"),
  4: () => inbox.isHere() && inbox.showView("closed"),
  a: () => picks.press("assign") || document.querySelector("[data-assign]")?.click(),
  e: () => picks.press("close") || document.querySelector("#pane-head [data-close]")?.click(),
  m: () => picks.press("read"),
  "?": () => dialogs.showHelp(),
};

const AFTER_G = {
  i: () => location.assign("/"),
  l: () => location.assign("/leads/"),
  t: () => location.assign("/today/"),
  a: () => location.assign("/dashboard/"),
  m: () => location.assign("/mentions/"),
};

let goUntil = 0;

export function begin() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || dialogs.isOpen()) return;
    if (event.key === "Escape") return stepBack(event);
    if (event.target.closest?.(WRITING) && !event.target.matches("[data-pick]")) return;
    const action = actionOf(event.key);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf(key) {
  const afterG = Date.now() < goUntil ? AFTER_G[key] : undefined;
  goUntil = key === "g" ? Date.now() + CHORD_MS : 0;
  return afterG ?? PLAIN[key];
}

function stepBack(event) {
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    return menu.querySelector("summary").focus();
  }
  if (panel.stepBack()) return;
  if (event.target.id === "note-text" && notes.close()) return;
  const isComposing = event.target.id === "composer-text";
  if (isComposing && replies.close()) return;
  // Also from the arrow that chose it, or from nowhere: what was begun last is given up first.
  if ((isComposing || !event.target.closest?.(WRITING)) && quoting.drop()) return;
  if (event.target.closest?.(WRITING) && !event.target.matches("[data-pick]")) {
    event.target.blur();
    return document.getElementById("message-scroll")?.focus();
  }
  if (inbox.isHere()) inbox.stepBack();
}
