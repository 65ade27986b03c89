// Dialogs: help, a first message, who looks after a conversation.

import { fetchPiece, fill } from "./fetching.js";
import { toast } from "./toasts.js";
import { words } from "./words.js";

const dialog = () => document.getElementById("dialog");
const help = () => document.getElementById("help");

/** Whether one is open: then the keys are its own. */
export const isOpen = () => Boolean(document.querySelector("dialog[open]"));

/** Show a piece of the server's as a dialog. */
export async function open(address) {
  const piece = await fetchPiece(address);
  if (!piece.ok) return toast({ text: piece.status === 403 ? words.forbidden : words.failed });
  fill(dialog(), piece.html);
  if (!dialog().open) dialog().showModal();
  const first = ["[autofocus]", "textarea", "select"].map((each) => dialog().querySelector(each));
  first.find(Boolean)?.focus();
}

export function showHelp() {
  if (!help().open) help().showModal();
}

export function begin() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) open(opener.dataset.dialog);
    if (event.target.closest("[data-help]")) showHelp();
    if (event.target.closest("[data-dismiss]")) dialog().close();
    // A click on a dialog itself is one on what lies behind it; text selected out of it is not.
    if (event.target === help()) help().close();
  });
  for (const done of ["message-revised", "message-sent"]) {
    document.body.addEventListener(done, ({ detail }) => {
      dialog().close();
      document.dispatchEvent(new CustomEvent("changed", { detail }));
    });
  }
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.target.closest("[data-closes-dialog]")) dialog().close();
  });
}
