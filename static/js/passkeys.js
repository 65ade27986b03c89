// Says on the page that a passkey was not given: cancelled, unknown here, or timed out.

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const problem = document.getElementById("passkey_problem");
  if (problem) problem.hidden = false;
});
