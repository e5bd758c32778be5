// /reset: asks for a mail, or, with the token of that mail, for the new password.
import {ask} from "./api.js";
import {onSend, say, takeToken} from "./form.js";

const SENT = "If an account has this address, a mail with a link is on its way to it. The link works for an hour.";
const SPENT = "This link was used before, has expired or is not whole. Ask for another mail.";
const at = (id) => document.getElementById(id);
let token;

onSend(at("choose"), choose);
onSend(at("ask"), askForMail);
addEventListener("hashchange", begin); // another link, opened in the same tab
begin();

function begin() {
  token = takeToken() ?? token;
  show(token ? "choose" : "ask");
}

function show(id) {
  for (const form of document.forms) form.hidden = form.id !== id;
  at("told").hidden = true;
}

function end(id, sentence) {
  token = null;
  show(id);
  say(at("told"), sentence);
  at("told").focus();
}

async function choose({password}) {
  const {problem} = await ask("/api/password/reset", {token, password});
  if (problem?.code === "token_invalid" || problem?.errors.some(({field}) => field === "token")) end("ask", SPENT);
  else if (problem) return problem;
  else changed();
}

function changed() {
  at("choose").reset();
  end("", "Your password is changed, and you are signed out everywhere. Sign in with the new one.");
}

async function askForMail({email}) {
  const {problem} = await ask("/api/password/forgot", {email});
  if (problem) return problem;
  end("", SENT);
}
