// Searching as one types: the address follows, the list follows the address.

import { filtersOf, withFilters } from "./addresses.js";

const PAUSE_MS = 250;

const field = () => document.getElementById("inbox-search");
let pause;

/** Listen; `show(url)` goes to an address of the inbox in place of the present one. */
export function begin(show) {
  field().addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => look(show), PAUSE_MS);
  });
  field().form.addEventListener("submit", (event) => {
    event.preventDefault();
    look(show);
  });
}

/** Put the focus where one searches. */
export function focus() {
  field()?.focus();
  field()?.select();
}

/** Stop searching. Answers whether anything was being looked for. */
export function clear(show) {
  if (!filtersOf().has("q") && !field().value) return false;
  field().value = "";
  look(show);
  return true;
}

function look(show) {
  clearTimeout(pause);
  const text = field().value.trim();
  if (text !== (filtersOf().get("q") ?? "")) show(withFilters({ q: text }));
}
