// Forms of the admin that take a while say so, and are sent once.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-progress]");
  if (!form) return;
  const told = form.querySelector("[data-doing]");
  if (told) told.textContent = told.dataset.doing;
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
});

// Coming back with the browser's button finds the form as it was left.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("form[data-progress] button[type=submit]")) button.disabled = false;
});

// What is under way is looked at again until it has ended.
async function follow() {
  const shown = document.querySelector("[data-under-way]");
  if (!shown) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && answer.ok && !answer.redirected) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById(shown.id);
    if (now) shown.replaceWith(now);
  }
  setTimeout(follow, 1500);
}
document.addEventListener("DOMContentLoaded", () => setTimeout(follow, 1000));

// How a number is, with the code to scan, which changes every few seconds.
async function look(shown, last = "") {
  let said = last;
  const answer = await fetch(shown.dataset.live, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && answer.ok && !answer.redirected) {
    said = await answer.text();
    if (said !== last) shown.innerHTML = said;
  }
  setTimeout(() => look(shown, said), 10000);
}
document.addEventListener("DOMContentLoaded", () => {
  for (const shown of document.querySelectorAll("[data-live]")) look(shown);
});
