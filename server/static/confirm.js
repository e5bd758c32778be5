// /confirm: confirms an address when a person presses the button; what merely loads the page, or runs it, does nothing.
import {ask} from "./api.js";
import {onSend, say, takeToken} from "./form.js";

const SPENT = "This link was used before, has expired or is not whole. Sign in and ask for another mail.";
const form = document.querySelector("form");
const told = document.getElementById("told");
let token;

onSend(form, confirm);
addEventListener("hashchange", begin); // another link, opened in the same tab
begin();

function begin() {
  token = takeToken() ?? token;
  form.hidden = !token;
  told.hidden = Boolean(token);
  if (!token) say(told, "Open the link in the mail once more: its address has what is needed here.");
}

async function confirm() {
  const {problem} = await ask("/api/email/confirm", {token});
  if (problem && problem.code !== "token_invalid" && !problem.errors.length) return problem;
  token = null;
  form.hidden = true;
  say(told, problem ? SPENT : "Your address is confirmed. You can close this page.");
  told.focus();
}
