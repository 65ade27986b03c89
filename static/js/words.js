// The sentences that scripts say, written by the server in the reader's language.

export const words = document.getElementById("words").dataset;

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;

/** Bring "5 min ago" up to date, wherever it stands. */
export function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const said = ago(seconds);
    if (said && said !== time.textContent) time.textContent = said;
  }
}

function ago(seconds) {
  if (seconds < MINUTE_S) return words.now;
  if (seconds < HOUR_S) return words.minutes.replace("{count}", Math.floor(seconds / MINUTE_S));
  if (seconds < DAY_S) return words.hours.replace("{count}", Math.floor(seconds / HOUR_S));
  return "";
}
