// What every page for members does: the bar with the pages, what goes wrong, what is told while the page is open.
import {hearFromNowOn} from "./api.js";
import {say} from "./form.js";
import {askAsMember, signOut, toLogin, tokenNow} from "./session.js";
import {button, element} from "./words.js";

const PAGES = {"/feed": "Feed", "/files": "Files", "/referrals": "Referrals", "/people": "People"};

/** Begins a page; gives the member as they see themselves, or null when there is nothing to show to anybody. */
export async function enter() {
  if (await tokenOrLeave() === null) return null;
  const {data: me, problem} = await askAsMember("/api/me");
  document.getElementById("top").replaceChildren(...bar(me?.role === "admin"));
  if (tell(problem)) return null;
  for (const each of document.querySelectorAll("button, input, select, textarea")) each.disabled = false;
  return me;
}

function bar(administers) {
  const links = Object.entries({"/": "Foyer", ...PAGES, ...administers && {"/admin": "Administration"}}).map(pageLink);
  const nav = element("nav", "", ...links);
  const out = button(async () => tell(await signOut()), "Sign out");
  [nav.ariaLabel, out.id] = ["Pages", "out"];
  return [nav, out];
}

function pageLink([path, name]) {
  const made = element("a", "", name);
  made.href = path;
  if (path === location.pathname) made.ariaCurrent = "page";
  return made;
}

async function tokenOrLeave(refused) {
  const token = await tokenNow(refused);
  if (token === null) toLogin();
  return token;
}

/** Hears every frame of the member from now on; each connection begins with `ready`. */
export async function listen(hear) {
  await hearFromNowOn(tokenOrLeave, hear);
}

/** Says what is wrong, or that nothing is; whether something is. */
export function tell(problem) {
  say(document.getElementById("wrong"), problem ? wordsOf(problem) : "");
  return Boolean(problem);
}

export function wordsOf({detail, errors}) {
  return errors.length ? errors.map(({message}) => `It ${message}.`).join(" ") : detail;
}

/** `read`, never twice at once: whoever asks meanwhile gets one more round, for what was read may be older. */
export function inTurn(read) {
  let reading = null;
  let outdated = false;
  const rounds = async () => {
    while (outdated) {
      outdated = false;
      await read();
    }
  };
  return () => {
    outdated = true;
    reading ??= rounds().finally(() => { reading = null; });
    return reading;
  };
}
