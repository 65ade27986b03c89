// Answering one message: it stands above the message field until it is sent or dropped.

import { openedId } from "./conversation.js";

const strip = () => document.getElementById("quoting");
const field = () => document.getElementById("composer-text");
// By conversation, so that whoever looks elsewhere meanwhile finds it again.
const quotes = new Map();

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-quote]");
  if (button) choose(button);
  if (event.target.closest("[data-drop-quote]")) drop();
});

// A place or a contact card answers it as well as a text does.
document.body.addEventListener("htmx:configRequest", ({ detail, target }) => {
  const quote = quotes.get(openedId());
  if (quote && target.matches("[data-quotes]")) detail.parameters.reply_to = quote.name;
});
document.body.addEventListener("message-sent", ({ detail }) => {
  take(String(detail.conversation));
  setTimeout(() => field()?.focus());
});

/** Show what is being answered in the conversation that was just opened. */
export function begin() {
  if (!strip()) return;
  const quote = quotes.get(openedId());
  strip().replaceChildren();
  if (!quote) return;
  strip().append(document.getElementById("quoting-strip").content.cloneNode(true));
  strip().querySelector("[data-who]").textContent = quote.who;
  strip().querySelector("[data-what]").textContent = quote.what;
}

/** Answer the newest message of the contact that can be named. */
export function chooseNewest() {
  const all = document.querySelectorAll("#messages .message.in [data-quote]");
  if (all.length) choose(all[all.length - 1]);
}

/** Answer nothing in particular. Answers whether something was being answered. */
export function drop() {
  const wasThere = quotes.delete(openedId());
  begin();
  if (wasThere) field()?.focus();
  return wasThere;
}

/** What the message that is about to leave answers; the next one answers nothing. */
export function take(id) {
  const quote = quotes.get(id);
  quotes.delete(id);
  begin();
  return quote;
}

/** A message did not leave: what it answered is back, unless another was chosen since. */
export function putBack(id, quote) {
  if (quote && !quotes.has(id)) quotes.set(id, quote);
  if (id === openedId()) begin();
}

function choose(button) {
  const { of } = button.dataset;
  const bubble = of ? document.querySelector(`#messages [data-message="${of}"]`) : button.closest(".message");
  if (!bubble) return;
  const isOurs = bubble.classList.contains("out");
  const participant = bubble.querySelector(".participant")?.textContent;
  quotes.set(openedId(), {
    name: button.dataset.quote,
    who: isOurs ? strip().dataset.us : (participant ?? strip().dataset.contact),
    what: whatIsSaid(bubble),
  });
  begin();
  // A dialog that closes gives the focus back to what opened it: after that.
  setTimeout(() => field()?.focus());
}

function whatIsSaid(bubble) {
  const words = bubble.querySelector(".text, .kind, .file-link bdi, .file p")?.textContent.trim();
  const file = bubble.querySelector(".file img, .file audio, .file video");
  return words || file?.getAttribute("alt") || file?.getAttribute("aria-label") || "";
}
