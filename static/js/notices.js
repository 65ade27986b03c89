// Telling what came in: a sound, a notification of the device, as this person likes it.

import { openedId } from "./conversation.js";
import { fetchPiece } from "./fetching.js";
import { toast } from "./toasts.js";
import { words } from "./words.js";

const KEY = "amda.told";
// Two tones that are heard in an office and startle nobody: hertz and seconds.
const TONES = [[660, 0], [880, 0.12]];
const TONE_S = 0.16;
const LOUDNESS = 0.08;

const liked = () => document.body.dataset;
const bySound = () => "toldBySound" in liked();
const onDesktop = () => "toldOnDesktop" in liked();

/** Something came in: tell of it, unless it is being looked at or was told in another tab. */
export async function hear({ kind, conversation, message, note, user }) {
  if (kind === "received") return tellOf(`/messages/${message}/notice/`, `message-${message}`, conversation);
  if (kind === "mention" && note && String(user) === liked().me) {
    return tellOf(`/notes/${note}/notice/`, `note-${note}`, conversation);
  }
}

export function begin() {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-try-sound]")) play();
    if (event.target.closest("[data-try-desktop]")) tryDesktop();
  });
  document.querySelector("[name=told_on_desktop]")?.addEventListener("change", (event) => {
    if (event.target.checked) ask();
  });
}

async function tellOf(address, tag, conversation) {
  const isSeen = !document.hidden && document.hasFocus() && String(conversation) === openedId();
  const isNamed = tag.startsWith("note-");
  if (isSeen || !(bySound() || onDesktop() || isNamed) || !isFirst(tag)) return;
  const piece = await fetchPiece(address);
  if (piece.status !== 200) return;
  const said = JSON.parse(piece.html);
  if (bySound()) play();
  if (onDesktop() && !document.hasFocus()) show(said);
  else if (isNamed) toast({ text: said.title, link: said.url, link_word: words.open });
}

function show({ title, body, url, tag }) {
  if (window.Notification?.permission !== "granted") return;
  const notification = new Notification(title, { body, tag });
  notification.onclick = () => {
    window.focus();
    location.assign(url);
    notification.close();
  };
}

function play() {
  const AudioContext = window.AudioContext ?? window.webkitAudioContext;
  if (!AudioContext) return;
  const context = new AudioContext();
  for (const [hertz, after] of TONES) {
    const [tone, volume] = [context.createOscillator(), context.createGain()];
    const start = context.currentTime + after;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(LOUDNESS, start);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + TONE_S);
    tone.connect(volume).connect(context.destination);
    tone.start(start);
    tone.stop(start + TONE_S);
    tone.onended = () => after && context.close();
  }
}

async function ask() {
  const answer = (await window.Notification?.requestPermission()) ?? "denied";
  document.querySelector("[data-desktop-refused]").hidden = answer === "granted";
  return answer === "granted";
}

async function tryDesktop() {
  if (await ask()) show({ title: document.title, body: words.example, url: location.href, tag: "try" });
}

// Several tabs hear the same; the one that writes it down first tells it.
function isFirst(tag) {
  try {
    const told = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (told.includes(tag)) return false;
    localStorage.setItem(KEY, JSON.stringify([...told.slice(-50), tag]));
  } catch {
    // Without storage each tab tells it.
  }
  return true;
}
