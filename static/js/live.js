// The live connection: one socket, tried again for as long as the page is open, and a poll
// every minute while there is none.

const POLL_MS = 60_000;
const PING_MS = 25_000;
const PONG_WITHIN_MS = 10_000;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 20_000;
// Until then a lost connection is "reconnecting"; later the page says that it polls.
const GIVE_UP_HOPE_MS = 8_000;
const REFUSED = new Set([4401, 4403]);

/** Keep the page live. `onEvent(event)` hears what changed; `onStale()` means: fetch it all. */
export function keepLive({ path, onEvent, onStale, onState }) {
  const line = new Line({ path, onEvent, onStale, onState });
  line.connect();
  window.addEventListener("online", () => line.connectNow());
  window.addEventListener("offline", () => line.drop());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) line.connectNow();
  });
  setInterval(() => line.poll(), POLL_MS);
}

class Line {
  constructor({ path, onEvent, onStale, onState }) {
    Object.assign(this, { path, onEvent, onStale, onState });
    this.failures = 0;
    this.state = "reconnecting";
    this.wasLive = false;
    this.hopeUntil = Date.now() + GIVE_UP_HOPE_MS;
  }

  connect() {
    clearTimeout(this.retry);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    } catch {
      return this.lost({ code: 0 });
    }
    this.socket = socket;
    socket.onopen = () => this.opened(socket);
    socket.onmessage = (message) => this.heard(socket, message);
    socket.onclose = (closing) => socket === this.socket && this.lost(closing);
  }

  connectNow() {
    if (this.state === "live" || this.state === "refused") return;
    if (this.socket?.readyState === WebSocket.CONNECTING) return;
    this.failures = 0;
    this.connect();
  }

  opened(socket) {
    if (socket !== this.socket) return;
    this.failures = 0;
    this.say("live");
    this.pinging = setInterval(() => this.ping(socket), PING_MS);
    // What happened between the page's making and now was told to nobody.
    this.onStale();
  }

  heard(socket, message) {
    if (socket !== this.socket) return;
    clearTimeout(this.silence);
    let event;
    try {
      event = JSON.parse(message.data);
    } catch {
      return;
    }
    if (event.type === "tenant.event") this.onEvent(event);
    if (event.type === "resync") this.onStale();
  }

  ping(socket) {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send('{"type": "ping"}');
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.drop(), PONG_WITHIN_MS);
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.lost({ code: 0 });
  }

  lost({ code }) {
    clearInterval(this.pinging);
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    if (REFUSED.has(code)) return this.say("refused");
    if (this.state === "refused") return;
    if (this.state === "live") this.hopeUntil = Date.now() + GIVE_UP_HOPE_MS;
    this.say(Date.now() < this.hopeUntil ? "reconnecting" : "polling");
    this.failures += 1;
    this.retry = setTimeout(() => this.connect(), this.pause());
  }

  pause() {
    const longest = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.failures);
    return longest / 2 + Math.random() * (longest / 2);
  }

  poll() {
    if (this.state !== "live" && this.state !== "refused") this.onStale();
  }

  say(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}
