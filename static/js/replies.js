// Canned replies: "/" where one writes offers them, filled in for this conversation.

import { fetchPiece, fill } from "./fetching.js";

// What stands between the last "/" and the caret, at the beginning or after a space.
const MEANT = /(?:^|\s)\/([^\s/]{0,30})$/;

const field = () => document.getElementById("composer-text");
const offered = () => document.getElementById("composer-replies");
const options = () => [...offered().querySelectorAll("[data-reply]")];

let asked = null;

/** Listen in the conversation that was just opened. */
export function begin() {
  asked = null;
  field().addEventListener("input", offer);
  field().addEventListener("blur", close);
  offered().addEventListener("mousedown", (event) => {
    const option = event.target.closest("[data-reply]");
    if (!option) return;
    event.preventDefault();
    choose(option);
  });
}

/** Begin a canned reply from the keyboard. */
export function open() {
  if (!field() || !offered()) return;
  field().focus();
  if (!MEANT.test(before())) field().setRangeText(before() ? " /" : "/", field().selectionStart, field().selectionEnd, "end");
  field().dispatchEvent(new Event("input", { bubbles: true }));
}

/** Close the list. Answers whether it was open. */
export function close() {
  asked = null;
  if (!offered() || offered().hidden) return false;
  offered().hidden = true;
  field().removeAttribute("aria-activedescendant");
  return true;
}

/** Whether a key was meant for the list. */
export function press(event) {
  if (!offered() || offered().hidden || event.isComposing) return false;
  const all = options();
  const at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown") select(all[(at + 1) % all.length]);
  else if (event.key === "ArrowUp") select(all[(at - 1 + all.length) % all.length]);
  else if (event.key === "Enter" || event.key === "Tab") chooseWhatIsMeant(all[Math.max(at, 0)]);
  else return false;
  event.preventDefault();
  return true;
}

// Whoever types quicker than the list comes means none of what is still shown.
function chooseWhatIsMeant(option) {
  if (offered().dataset.answers === asked) choose(option);
}

const before = () => field().value.slice(0, field().selectionStart);

async function offer() {
  const wanted = before().match(MEANT)?.[1];
  if (wanted === undefined) return close();
  asked = wanted;
  const piece = await fetchPiece(`${offered().dataset.from}?q=${encodeURIComponent(wanted)}`);
  if (!piece.ok || asked !== wanted || !offered()) return;
  fill(offered(), piece.html);
  offered().dataset.answers = wanted;
  const [first] = options();
  if (!first) {
    close();
    return;
  }
  offered().hidden = false;
  select(first);
}

function select(option) {
  for (const each of options()) each.setAttribute("aria-selected", String(each === option));
  field().setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function choose(option) {
  const caret = field().selectionStart;
  field().setRangeText(option.dataset.text, before().lastIndexOf("/"), caret, "end");
  close();
  // The draft is kept and the field grows as if it had been typed.
  field().dispatchEvent(new Event("input", { bubbles: true }));
}
