// Notes not yet kept: in this tab by conversation, with whom they name, for the person who writes.

const PREFIX = "amda.note.";

const mine = () => document.body.dataset.draft.replace("amda.draft.", PREFIX);
const key = (id) => `${mine()}.${id}`;

/** Keep what was typed so far; it is there after a reload, and gone with the tab. */
export function keep(id, text, named) {
  if (!text.trim()) return forget(id);
  try {
    sessionStorage.setItem(key(id), JSON.stringify({ text, named: [...named] }));
  } catch {
    // A browser without storage still takes the note; only a reload loses it.
  }
}

/** What was typed here before: the text, and the people it names. */
export function read(id) {
  try {
    return JSON.parse(sessionStorage.getItem(key(id))) ?? { text: "", named: [] };
  } catch {
    return { text: "", named: [] };
  }
}

/** The note is kept, or was given up. */
export function forget(id) {
  try {
    sessionStorage.removeItem(key(id));
  } catch {
    // Nothing was stored, so nothing is left.
  }
}

/** Leave nothing to whoever signs in here next. */
export function begin() {
  remove((name) => !name.startsWith(`${mine()}.`));
  document.querySelector("[data-signs-out]").addEventListener("submit", () => remove(() => true));
}

function remove(isMeant) {
  try {
    const left = Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX));
    for (const name of left.filter(isMeant)) sessionStorage.removeItem(name);
  } catch {
    // Nothing was stored, so nothing is left.
  }
}
