// Questions that stand in front of a page: whether one is sure, and forms.
import {onSend, say} from "./form.js";
import {button, element} from "./words.js";

let question = null;
let answer = null;

/** Asks whether one is sure of what these words say; `deed`: what stands on the button that says so. */
export function sure(deed, ...words) {
  question ??= makeQuestion();
  say(question.querySelector("#asked"), ...words);
  question.querySelector("#sure").textContent = deed;
  question.showModal();
  return new Promise((resolve) => { answer = resolve; });
}

/** The question, if one stands there, is answered by no. */
export function unasked() {
  if (question?.open) settle(false);
}

function settle(yes) {
  answer(yes);
  question.close();
}

function makeQuestion() {
  const [asked, keep, yes] = [element("p"), button(() => settle(false), "Cancel"), button(() => settle(true))];
  const made = element("dialog", "", asked, element("div", "deeds", keep, yes));
  [asked.id, keep.id, yes.id, yes.className, made.id] = ["asked", "keep", "sure", "send", "question"];
  made.setAttribute("aria-labelledby", "asked");
  made.addEventListener("cancel", () => answer(false));
  document.body.append(made);
  return made;
}

/**
 * A form in a dialog with a button `.cancel`: what opens it, with a title and with values for its fields. `send` takes
 * what was filled in, and gives the problem that came of it.
 */
export function formIn(dialog, send) {
  const form = dialog.querySelector("form");
  onSend(form, async (filled) => {
    const problem = await send(filled);
    if (!problem) dialog.close();
    return problem;
  });
  dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
  return (title, values) => {
    dialog.querySelector("h2").textContent = title;
    form.querySelector(".problem").textContent = "";
    for (const [name, value] of Object.entries(values)) fill(form.elements[name], value);
    dialog.showModal();
  };
}

function fill(field, value) {
  if (field.type === "checkbox") field.checked = value;
  else field.value = value ?? "";
}
