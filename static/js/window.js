// WhatsApp's 24 hours: how long one may still answer freely; and templates, which may always go.

import { openedId } from "./conversation.js";
import { elementsOf, fetchPiece } from "./fetching.js";

const TICK_MS = 15_000;
const GATHER_MS = 300;
const MINUTE_MS = 60_000;

const line = () => document.getElementById("reply-window");
const dialog = () => document.getElementById("dialog");
let gathering = null;

/** Keep the countdown true and the preview of a template like what is typed. */
export function begin() {
  setInterval(tick, TICK_MS);
  new MutationObserver(tick).observe(document.getElementById("pane"), { childList: true });
  document.addEventListener("input", (event) => event.target.matches("[data-place]") && show(event.target));
  document.body.addEventListener("htmx:afterSettle", () => {
    dialog().querySelectorAll("[data-place]").forEach(show);
    dialog().querySelector("#template-picker [autofocus]")?.focus();
  });
  document.body.addEventListener("template-sent", (event) => {
    dialog().close();
    const { conversation, message } = event.detail;
    document.dispatchEvent(new CustomEvent("changed", { detail: { conversation, message } }));
  });
  tick();
}

/** Something was said: the contact may have opened the window again. */
export function changed({ conversation }) {
  if (!line() || String(conversation) !== openedId()) return;
  gathering ??= setTimeout(refresh, GATHER_MS);
}

/** Ask how it stands now. */
export async function refresh() {
  gathering = null;
  const id = openedId();
  if (!line()) return;
  const piece = await fetchPiece(line().dataset.address);
  const old = line();
  if (!piece.ok || id !== openedId() || !old) return;
  const [fresh] = elementsOf(piece.html, "#reply-window");
  if (!fresh) return;
  const hadFocus = old.contains(document.activeElement);
  old.replaceWith(fresh);
  if (hadFocus) fresh.querySelector("button")?.focus();
  tick();
}

function tick() {
  const { window: state, endsAt } = line()?.dataset ?? {};
  if (state !== "open") return;
  const left = Date.parse(endsAt) - Date.now();
  if (left <= 0) return void refresh();
  const minutes = Math.floor(left / MINUTE_MS);
  const words = minutes < 60 ? line().dataset.minutesLeft : line().dataset.hoursLeft;
  const said = words.replace("{hours}", Math.floor(minutes / 60)).replace("{minutes}", minutes % 60);
  line().classList.toggle("soon", minutes < 60);
  const place = line().querySelector("[data-left]");
  if (place.textContent !== said) place.textContent = said;
}

function show(field) {
  for (const slot of field.form.querySelectorAll(`[data-slot="${CSS.escape(field.dataset.place)}"]`)) {
    slot.textContent = field.value.trim() || slot.dataset.empty;
    slot.toggleAttribute("data-filled", Boolean(field.value.trim()));
  }
}
