// The page's address: which conversation is open, and what the list is narrowed to.

const FILTERS = ["view", "number", "person", "stage", "tag", "vip", "unread", "q"];

/** The filters in an address, in a fixed order. */
export function filtersOf(url = location) {
  const asked = new URLSearchParams(url.search);
  const kept = new URLSearchParams();
  for (const name of FILTERS) {
    const value = asked.get(name);
    if (value && !(name === "view" && value === "all")) kept.set(name, value);
  }
  return kept;
}

/** The filters as the end of an address; `more` is added to them. */
export function query(more = {}, url = location) {
  const asked = filtersOf(url);
  for (const [name, value] of Object.entries(more)) {
    if (value) asked.set(name, value);
    else asked.delete(name);
  }
  const text = String(asked);
  return text ? `?${text}` : "";
}

/** The conversation that an address opens, or null. */
export const conversationOf = (url = location) => url.pathname.match(/^\/inbox\/(\d+)\/$/)?.[1] ?? null;

/** The message or note that an address leads to, as its parameter; empty where it says none. */
export function targetOf(url = location) {
  const asked = new URLSearchParams(url.search);
  if (asked.get("message")) return { message: asked.get("message") };
  return asked.get("note") ? { note: asked.get("note") } : {};
}

/** Where this page is, with other filters. */
export function withFilters(changes) {
  const asked = filtersOf();
  for (const [name, value] of Object.entries(changes)) {
    if (value && !(name === "view" && value === "all")) asked.set(name, value);
    else asked.delete(name);
  }
  const text = String(asked);
  return new URL(text ? `?${text}` : location.pathname, location.href);
}
