// Asking the server for pieces of a page.

const PATIENCE_MS = 15_000;

export const SIGNED_OUT = "signed-out";

/** A piece of a page. `status` is 0 where the server could not be reached. */
export async function fetchPiece(url, { method = "GET", body, tells = false } = {}) {
  try {
    const response = await fetch(url, {
      method,
      body,
      credentials: "same-origin",
      headers: { "HX-Request": "true", "X-CSRFToken": document.body.dataset.csrf },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const html = response.status === 204 ? "" : await response.text();
    if (response.status === 401) document.dispatchEvent(new CustomEvent(SIGNED_OUT));
    tellCounts(response.headers);
    if (tells) tellEvents(response.headers.get("HX-Trigger"));
    return { ok: response.ok, status: response.status, html };
  } catch {
    return { ok: false, status: 0, html: "" };
  }
}

/** The elements of a piece, not yet in the page. */
export function elementsOf(html, selector) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return [...holder.content.querySelectorAll(selector)];
}

/** Put html into an element and wake what htmx looks after in it. */
export function fill(element, html) {
  element.innerHTML = html;
  window.htmx?.process(element);
}

function tellCounts(headers) {
  for (const [name, header] of [["unread", "X-Unread"], ["mentions", "X-Mentions"], ["alerts-count", "X-Alerts"]]) {
    const count = headers.get(header);
    if (count !== null) document.dispatchEvent(new CustomEvent(name, { detail: Number(count) }));
  }
}

function tellEvents(said) {
  for (const [name, detail] of Object.entries(said ? JSON.parse(said) : {})) {
    document.body.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }
}
