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
