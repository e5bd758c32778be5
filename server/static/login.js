// /login: signs in, and goes on to where one wanted to go; the page there gets a token of its own.
import {ask} from "./api.js";
import {onSend} from "./form.js";

const USUAL = "/files";

onSend(document.querySelector("form"), signIn);

async function signIn(filled) {
  const {problem} = await ask("/api/login", filled);
  if (!problem) location.replace(goal());
  return problem;
}

/** What `?next=` names, when it is a path of this site. */
function goal() {
  const next = new URLSearchParams(location.search).get("next") ?? USUAL;
  const url = next.startsWith("/") && URL.canParse(next, location.origin) ? new URL(next, location.origin) : null;
  // The whole address, for a path of it could begin with two slashes and lead elsewhere.
  return url?.origin === location.origin ? url.href : USUAL;
}
