// /signup: the form, who invites, and what is found out about the newcomer.
import {ask, eventOf, once} from "./api.js";
import {onSend, say, theirs} from "./form.js";

const CODE = /^[!-~]{1,64}$/;
const ENDED = {
  not_found: "We found nothing about you. Your profile is yours to fill.",
  failed: "We could not find out who you are. Your profile is yours to fill.",
  not_configured: "Nobody was asked who you are. Your profile is yours to fill.",
};
const code = new URLSearchParams(location.search).get("ref");
const at = (id) => document.getElementById(id);
const send = once((body, headers) => ask("/api/signup", body, headers));

if (code !== null) tellInvitation();
onSend(document.querySelector("form"), signUp);

async function tellInvitation() {
  const {data, problem} = CODE.test(code) ? await ask(`/api/referrals/${encodeURIComponent(code)}`) : {};
  if (problem && !(problem.status < 429)) return; // it cannot be known now, and the sign-up will tell
  const inviter = data?.valid && data.inviter;
  if (inviter) say(at("invitation"), theirs(inviter.name || inviter.username), " invites you.");
  else say(at("invitation"), "This invitation is not known. You can sign up all the same.");
}

async function signUp(filled) {
  const body = CODE.test(code ?? "") ? {...filled, referral_code: code} : filled;
  const {data, problem} = await send(body);
  if (problem) return problem;
  welcome(data);
  await tellEnriched(data.access_token);
}

function welcome({user, referral}) {
  say(at("welcome"), "Welcome, ", theirs(user.name || user.username), "!");
  say(at("mail"), "A mail with a link is on its way to ", theirs(user.email), ". Open it to confirm your address.");
  if (referral.status === "applied") say(at("referral"), "Your invitation was accepted.");
  if (referral.status === "unknown_code") say(at("referral"), "Your invitation is not known, so it was not used.");
  say(at("enriched"), "We are finding out who you are ...");
  document.title = "Welcome - Foyer";
  at("ask").hidden = true;
  at("done").hidden = false;
  at("welcome").focus();
}

async function tellEnriched(token) {
  const found = await eventOf("enriched", token);
  if (found?.status === "found") say(at("enriched"), ...whoIs(found.fields));
  else say(at("enriched"), ENDED[found?.status] ?? "What is found out about you will stand in your profile.");
}

function whoIs(fields) {
  const values = ["name", "title", "company"].map((name) => fields[name]?.value);
  const words = values.filter((value) => typeof value === "string").flatMap((value) => [", ", theirs(value)]);
  return words.length ? ["We found you: ", ...words.slice(1), "."] : ["We found you, and filled in your profile."];
}
