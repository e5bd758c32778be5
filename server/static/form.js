// Forms that say what is wrong where it is wrong, and words in which others' words stand apart.

const FIELDS = "input, select, textarea";

/** Others' words: kept apart, so that no direction mark in them turns the sentence around. */
export function theirs(text) {
  const apart = document.createElement("bdi");
  apart.textContent = text;
  return apart;
}

/** Shows an element with these words, strings or what `theirs` made. */
export function say(element, ...words) {
  element.hidden = false;
  element.replaceChildren(...words);
}

/** The token in the address, which is taken out of the address bar and out of the history. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (location.hash) history.replaceState(null, "", location.pathname);
  return token;
}

/**
 * Lets a form be sent: `send` takes what was filled in and gives the problem that came of it, if one did, which is
 * told at the fields.
 */
export function onSend(form, send) {
  form.addEventListener("input", (event) => tellField(event.target, ""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    forget(form);
    form.ariaBusy = "true";
    const problem = await send(filled(form));
    form.ariaBusy = "false";
    if (problem) tell(form, problem);
  });
  for (const button of form.querySelectorAll(".toggle")) button.addEventListener("click", () => toggle(button));
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}

function filled(form) {
  return Object.fromEntries([...new FormData(form)].filter(([name, value]) => value || form.elements[name].required));
}

function forget(form) {
  form.querySelector(".problem").textContent = "";
  for (const field of form.querySelectorAll(FIELDS)) tellField(field, "");
  for (const button of form.querySelectorAll(".toggle")) if (shown(button)) toggle(button);
}

function tell(form, problem) {
  const elsewhere = problem.errors.filter(({field, message}) => {
    const input = [...form.querySelectorAll(FIELDS)].find(({name}) => name === field);
    if (input) tellField(input, `${labelOf(input)} ${inWords(message)}.`);
    return !input;
  });
  const marked = form.querySelector('[aria-invalid="true"]');
  form.querySelector(".problem").textContent = marked && !elsewhere.length ? "Correct what is marked." : problem.detail;
  (marked ?? form.querySelector(".send")).focus();
}

function inWords(message) {
  return message.startsWith("must match ") ? "has a character that it cannot have" : message;
}

function tellField(input, sentence) {
  const place = document.getElementById(`${input.id}-wrong`);
  input.toggleAttribute("aria-invalid", false);
  if (sentence) input.setAttribute("aria-invalid", "true");
  place.textContent = sentence;
  place.hidden = !sentence;
}

function labelOf(input) {
  return input.labels[0].firstChild.textContent.trim();
}

function shown(button) {
  return button.textContent === "Hide";
}

function toggle(button) {
  const show = !shown(button);
  document.getElementById(button.getAttribute("aria-controls")).type = show ? "text" : "password";
  button.textContent = show ? "Hide" : "Show";
  button.ariaLabel = `${button.textContent} the password`;
}
