// The phone page: it fetches its state, draws it, and fetches again when the server says so.

const words = JSON.parse(document.documentElement.dataset.words);
const language = document.documentElement.lang;
const address = new URLSearchParams(location.search);

const chosen = { customer: numberIn("customer"), session: numberIn("session") };
let state = null;
let stream = null;
let fetching = false;
let again = false;
let atEnd = true;

const byId = (id) => document.getElementById(id);
const composer = byId("composer");
const text = byId("text");

// Words, times, small elements

function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function numberIn(name) {
  return Number(address.get(name)) || null;
}

const clockOf = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const secondsOf = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const dayOf = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
const shortDayOf = new Intl.DateTimeFormat(language, { day: "2-digit", month: "2-digit" });
const fullOf = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });

function when(seconds) {
  return new Date(seconds * 1000);
}

function dayName(date) {
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86400000);
  return [words.today, words.yesterday][days] ?? dayOf.format(date);
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

function shortTime(seconds) {
  const date = when(seconds);
  const today = midnight(date).getTime() === midnight(new Date()).getTime();
  return today ? clockOf.format(date) : shortDayOf.format(date);
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function icon(name, className = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

function named(iconName, label, className = "") {
  return element("span", { class: className, title: label },
    icon(iconName), element("span", { class: "hidden" }, label));
}

function count(number) {
  if (!number) return null;
  const label = say("unread", { count: number });
  return element("span", { class: "count", "aria-label": label, role: "img" },
    number > 99 ? "99+" : String(number));
}

function avatar(customer) {
  const initials = customer.name.split(/\s+/).map((part) => [...part][0]).slice(0, 2).join("");
  const mark = customer.on ? null : element("span", { class: "offmark" }, icon("power"));
  const shown = /\p{L}/u.test(initials) ? initials.toUpperCase() : "#";
  return element("span", { class: `avatar tone-${customer.id % 5}`, "aria-hidden": "true" }, shown, mark);
}

function summary(message) {
  if (!message) return "";
  const said = message.deleted ? words.deleted : whatIsSaid(message);
  return message.mine ? say("you_said", { said }) : said;
}

function whatIsSaid(message) {
  return message.text || [words[`kind_${message.kind}`], message.detail].filter(Boolean).join(" · ");
}

// Rows are kept while they say the same, so that focus and scrolling survive a redraw.

function refill(list, rows, keyOf, draw) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const row of rows) {
    const key = String(keyOf(row));
    const print = JSON.stringify(row);
    let child = known.get(key);
    known.delete(key);
    if (child && child.dataset.print !== print) {
      const next = draw(row, child);
      if (place === child) place = next;
      if (next !== child) swap(child, next);
      child = next;
    }
    child ??= draw(row, null);
    child.dataset.key = key;
    child.dataset.print = print;
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const gone of known.values()) gone.remove();
}

function swap(old, next) {
  const focused = old.contains(document.activeElement);
  old.replaceWith(next);
  if (focused) next.querySelector("button")?.focus();
}

// Drawing

function draw() {
  drawCustomers();
  drawPhone();
  drawBackstage();
  drawAddress();
}

function drawCustomers() {
  const rows = state.customers.map((one) => ({ ...one, chosen: one.id === chosen.customer }));
  refill(byId("customers"), rows, (one) => one.id, (one) => {
    const button = element("button",
      { type: "button", class: "customer", "aria-pressed": String(one.chosen), title: one.phone },
      avatar(one),
      element("span", { class: "text" },
        nameOf(one),
        element("span", { class: "sub" }, one.name === one.phone ? summary(one.last) : one.phone)),
      count(one.unread));
    button.addEventListener("click", () => choose({ customer: one.id, session: chosen.session }));
    return element("li", {}, button);
  });
}

// Narrow screens show the first name only.
function nameOf(customer) {
  const [first, ...family] = customer.name.split(" ");
  return element("span", { class: "name", dir: "auto" }, first,
    element("span", { class: "family" }, family.map((part) => ` ${part}`).join("")));
}

function drawPhone() {
  const { customer, chat } = state;
  const off = Boolean(customer && !customer.on);
  for (const screen of document.querySelectorAll(".screen")) screen.inert = off;
  byId("device").dataset.screen = chat ? "chat" : "list";
  byId("clock").textContent = clockOf.format(new Date());
  byId("owner").textContent = customer ? customer.name : "";
  byId("off").hidden = !off;
  byId("off-waiting").textContent = customer ? waitingWords(customer.waiting) : "";
  drawChats();
  if (chat) drawChat(chat, customer);
}

function waitingWords(waiting) {
  if (waiting === 0) return words.waiting_none;
  return waiting === 1 ? words.waiting_one : say("waiting_many", { count: waiting });
}

function drawChats() {
  byId("no-chats").hidden = state.chats.length > 0;
  refill(byId("chats"), state.chats, (chat) => chat.session, (chat) => {
    const button = element("button", { type: "button", class: "chat" },
      element("span", { class: "avatar shop", "aria-hidden": "true" }, icon("shop")),
      element("span", { class: "text" },
        element("span", { class: "name", dir: "auto" }, chat.name),
        element("span", { class: "sub", dir: "auto" }, summary(chat.last) || chat.phone)),
      element("span", { class: "end" }, chat.last ? shortTime(chat.last.at) : "", count(chat.unread)));
    button.addEventListener("click", () => choose({ customer: chosen.customer, session: chat.session }));
    return element("li", {}, button);
  });
}

function drawChat(chat, customer) {
  const log = byId("log");
  const place = `${customer.id}:${chat.session}`;
  const other = log.dataset.place !== place;
  if (other) log.replaceChildren();
  log.dataset.place = place;

  byId("chat-name").textContent = chat.name;
  byId("chat-phone").textContent = chat.phone;
  byId("older").hidden = !chat.has_older;
  byId("no-messages").hidden = chat.messages.length > 0;
  byId("not-connected").hidden = chat.status === "connected";
  composer.hidden = chat.status !== "connected";
  text.placeholder = say("composer_placeholder", { name: customer.name });
  refill(log, withDays(chat.messages), (row) => row.key, (row, old) =>
    row.day ? element("p", { class: "day" }, row.day) : drawBubble(row, old, !other));
  if (other) text.value = localStorage.getItem(draftKey()) ?? "";
  if (other) fitText();
  if (other) atEnd = true;
  keepAtEnd();
}

function keepAtEnd() {
  const scroller = byId("scroller");
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

function withDays(messages) {
  const rows = [];
  let day = null;
  let side = null;
  for (const message of messages) {
    const name = dayName(when(message.at));
    if (name !== day) rows.push({ key: `day ${name} ${message.id}`, day: name });
    rows.push({ ...message, key: message.id, turn: message.mine !== side });
    day = name;
    side = message.mine;
  }
  return rows;
}

// A new tick must not be read out as a new message: only what changed is touched.
function drawBubble(message, old, isNew) {
  const edited = old && old.dataset.said !== message.text;
  if (!old || edited || message.deleted) return bubble(message, isNew && !old);
  old.classList.toggle("turn", message.turn);
  old.querySelector(".foot").replaceChildren(...footParts(message));
  old.querySelector(".refusal")?.remove();
  old.append(...[refusalPart(message.post)].filter(Boolean));
  return old;
}

function bubble(message, isNew) {
  const classes = ["bubble", message.mine && "mine", message.deleted && "deleted",
    message.turn && "turn", isNew && "new"].filter(Boolean);
  return element("div", { class: classes.join(" "), "data-said": message.text },
    quotedPart(message.quoted),
    kindPart(message),
    element("div", { class: "said", dir: "auto" }, message.deleted ? words.deleted : message.text),
    element("div", { class: "foot", "aria-live": "off" }, ...footParts(message)),
    binPart(message),
    refusalPart(message.post));
}

function footParts(message) {
  const date = when(message.at);
  const time = element("time", { datetime: date.toISOString(), title: fullOf.format(date) },
    clockOf.format(date));
  const read = message.mine && message.status >= 4;
  const mark = read ? named("ticks", words.read_by_team, "read")
    : message.mine ? postMark(message.post) : statusMark(message.status);
  return [time, mark].filter(Boolean);
}

function quotedPart(quoted) {
  return quoted && element("span", { class: "quoted", dir: "auto" }, summary(quoted));
}

function kindPart(message) {
  if (message.kind === "text" || message.deleted) return null;
  return element("div", { class: "said" },
    element("span", { class: "kind" }, words[`kind_${message.kind}`]), message.detail);
}

function statusMark(status) {
  const label = say("team_sees", { status: words[`status_${status}`] });
  return named("ticks", label, status >= 4 ? "read" : "");
}

function postMark(post) {
  if (!post) return null;
  const icons = { pending: "clock", accepted: "ticks", refused: "alert" };
  return named(icons[post.state], words[`post_${post.state}`], post.state);
}

function refusalPart(post) {
  if (post?.state !== "refused") return null;
  return element("div", { class: "refusal" }, element("span", {}, refusalWords(post)), againButton(post));
}

function refusalWords(post) {
  if (post.http_status === 403) return words.refused_403;
  if (post.http_status) return say("refused_with", { status: post.http_status });
  return say("refused_silent", { problem: post.problem });
}

function againButton(post) {
  const button = element("button", { type: "button", class: "small" }, words.post_again);
  button.addEventListener("click", () => send(`/phone/deliveries/${post.id}/again`));
  return button;
}

function binPart(message) {
  if (!message.mine || message.deleted) return null;
  const button = element("button",
    { type: "button", class: "bin", "aria-label": words.delete, title: words.delete }, icon("bin"));
  button.addEventListener("click", () => send(`/phone/messages/${message.id}/delete`));
  return button;
}

function drawBackstage() {
  byId("power").checked = Boolean(state.customer?.on);
  byId("power").disabled = !state.customer;
  byId("journal-empty").hidden = state.journal.length > 0;
  refill(byId("journal"), state.journal, (post) => post.id, journalRow);
  const waiting = state.chats.filter((chat) => chat.status === "need_scan");
  refill(byId("scans"), waiting, (chat) => chat.session, scanCard);
}

function journalRow(post) {
  const icons = { pending: "clock", accepted: "tick", refused: "alert" };
  const told = post.told === null ? "" : ` ${post.told} · ${words[`status_${post.told}`] ?? ""}`;
  const tries = post.attempts > 1 ? ` · ${say("attempts", { count: post.attempts })}` : "";
  return element("li", { class: post.state },
    named(icons[post.state], words[`post_${post.state}`]),
    element("span", { class: "what" }, post.event, element("small", {}, told)),
    element("span", { class: "code" }, codeOf(post)),
    element("span"),
    element("small", {}, [secondsOf.format(when(post.at)), post.who].filter(Boolean).join(" · ") + tries),
    element("span"),
    ...(post.state === "refused" ? [againButton(post)] : []));
}

function codeOf(post) {
  if (post.http_status) return String(post.http_status);
  return post.attempts > 0 ? words.no_answer : "…";
}

function scanCard(chat) {
  const button = element("button", { type: "button", class: "primary" }, words.scan);
  button.addEventListener("click", () => send(`/phone/sessions/${chat.session}/scan`));
  return element("div", { class: "scan" }, element("span", {}, say("scan_hint", { name: chat.name })), button);
}

function drawAddress() {
  const shown = new URLSearchParams({ lang: language });
  if (chosen.customer) shown.set("customer", chosen.customer);
  if (chosen.session) shown.set("session", chosen.session);
  history.replaceState({ ...chosen }, "", `?${shown}`);
  shown.set("lang", language === "fr" ? "en" : "fr");
  byId("language").href = `?${shown}`;
}

// Fetching and listening

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  do {
    again = false;
    await fetchState();
  } while (again);
  fetching = false;
}

async function fetchState() {
  const asked = { ...chosen };
  const query = new URLSearchParams({ customer: asked.customer ?? "", session: asked.session ?? "" });
  try {
    const answer = await fetch(`/phone/state?${query}`);
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const fetched = await answer.json();
    if (asked.customer !== chosen.customer || asked.session !== chosen.session) {
      again = true;
      return;
    }
    state = fetched;
  } catch (problem) {
    console.warn(problem);
    showLink("lost");
    return;
  }
  settleChoice();
}

// Somebody always holds a phone; a business that is gone is not shown.
function settleChoice() {
  const customer = state.customer?.id ?? state.customers[0]?.id ?? null;
  const known = state.chats.some((chat) => chat.session === chosen.session);
  const session = known ? chosen.session : null;
  if (customer !== chosen.customer || session !== chosen.session) {
    Object.assign(chosen, { customer, session });
    listen();
    again = true;
    return;
  }
  draw();
}

function choose(next, { back = false } = {}) {
  if (!back && next.session && !chosen.session) history.pushState({ ...next }, "");
  keepDraft();
  Object.assign(chosen, next);
  listen();
  refresh();
}

// An open stream tells the server which chat is on the screen: a hidden page shows none.
function listen() {
  stream?.close();
  const visible = document.visibilityState === "visible";
  const query = new URLSearchParams({
    customer: chosen.customer ?? "",
    session: visible ? (chosen.session ?? "") : "",
  });
  stream = new EventSource(`/phone/events?${query}`);
  stream.addEventListener("open", () => showLink("live"));
  stream.addEventListener("message", refresh);
  stream.addEventListener("error", () => showLink("lost"));
}

function showLink(name) {
  const link = byId("link");
  if (link.classList.contains(name)) return;
  link.className = `link ${name}`;
  link.textContent = words[name];
}

async function send(path, body = {}) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    refresh();
    return { ok: answer.ok, status: answer.status, ...(await answer.json()) };
  } catch (problem) {
    console.warn(problem);
    showLink("lost");
    return { ok: false, status: 0 };
  }
}

// Writing

function draftKey() {
  return `draft:${byId("log").dataset.place}`;
}

function keepDraft() {
  if (byId("log").dataset.place) localStorage.setItem(draftKey(), text.value);
}

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

function errorWords(answer) {
  return words[`error_${answer.error}`] ?? say("error_other", { status: answer.status });
}

async function sayIt(event) {
  event.preventDefault();
  const said = text.value;
  const picked = byId("file").files[0];
  if (!said.trim() && !picked) return;
  const form = new FormData(composer);
  const options = Object.fromEntries(["twice", "late", "only_lid"].map((name) => [name, form.has(name)]));
  text.value = "";
  atEnd = true;
  keepDraft();
  fitText();
  text.focus();
  const file = picked ? await fileOf(picked) : null;
  const answer = await send("/phone/messages", { ...chosen, ...options, text: said, file });
  if (answer.ok) byId("file").value = "";
  byId("send-error").textContent = answer.ok ? "" : errorWords(answer);
  if (!answer.ok && !text.value) text.value = said;
  keepDraft();
  fitText();
}

function fileOf(picked) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("error", () => reject(reader.error));
    reader.addEventListener("load", () => resolve({
      name: picked.name,
      mimetype: picked.type || "application/octet-stream",
      base64: reader.result.slice(reader.result.indexOf(",") + 1),
    }));
    reader.readAsDataURL(picked);
  });
}

function showTricks() {
  const on = [...composer.querySelectorAll("input:checked")].map((box) => words[box.name]);
  byId("tricks-on").textContent = on.join(" · ");
}

async function addCustomer(event) {
  event.preventDefault();
  const form = event.target;
  const answer = await send("/phone/customers", Object.fromEntries(new FormData(form)));
  byId("add-error").textContent = answer.ok ? "" : errorWords(answer);
  if (!answer.ok) {
    form.elements[answer.error]?.focus();
    return;
  }
  form.reset();
  byId("add").open = false;
  choose({ customer: answer.customer, session: chosen.session });
}

function switchPhone(on) {
  if (chosen.customer) send(`/phone/customers/${chosen.customer}/power`, { on });
}

function leaveChat() {
  choose({ customer: chosen.customer, session: null });
  byId("chats").querySelector("button")?.focus();
}

composer.addEventListener("submit", sayIt);
composer.addEventListener("change", showTricks);
text.addEventListener("input", () => {
  keepDraft();
  fitText();
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) sayIt(event);
});
byId("add-form").addEventListener("submit", addCustomer);
byId("power").addEventListener("change", (event) => switchPhone(event.target.checked));
byId("turn-on").addEventListener("click", () => switchPhone(true));
byId("back").addEventListener("click", leaveChat);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen.session) leaveChat();
});
document.addEventListener("visibilitychange", listen);
window.addEventListener("popstate", (event) => {
  const before = event.state ?? {};
  choose({ customer: before.customer ?? chosen.customer, session: before.session ?? null }, { back: true });
});
byId("scroller").addEventListener("scroll", (event) => {
  const { scrollHeight, scrollTop, clientHeight } = event.target;
  atEnd = scrollHeight - scrollTop - clientHeight < 60;
});
// The keyboard or the open options leave less room; the last message stays in sight.
new ResizeObserver(keepAtEnd).observe(byId("scroller"));
setInterval(() => {
  byId("clock").textContent = clockOf.format(new Date());
}, 10000);

listen();
refresh();
