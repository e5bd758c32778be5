// Who is signed in: the access token is kept by this page alone, the one that renews it by the browser, out of reach.
import {ask} from "./api.js";

const SIGNED_OUT = {problem: {code: "not_signed_in", status: 401, detail: "You are signed out.", errors: []}};
let token = null;
let renewing = null;
let leaving = false;

/** The access token; a new one when there is none yet, or when it was `refused`. Null when nobody is signed in. */
export async function tokenNow(refused = false) {
  if ((refused || token === null) && !leaving) await (renewing ??= renew().finally(() => { renewing = null; }));
  return leaving ? null : token;
}

async function renew() {
  const {data, problem} = await ask("/api/token/refresh", undefined, {}, "POST");
  if (data) token = data.access_token;
  else if (problem.status >= 400 && problem.status < 429) token = null; // else it is as good as it was
}

/** Asks the API in the member's name, see `ask`; whoever is not signed in is led to the page for that. */
export async function askAsMember(path, body, headers = {}, method = undefined, seconds = undefined) {
  const send = (by) => ask(path, body, {...headers, Authorization: `Bearer ${by}`}, method, seconds);
  const first = await tokenNow();
  let told = first === null ? SIGNED_OUT : await send(first);
  if (first !== null && told.problem?.status === 401) {
    const second = await tokenNow(first === token); // another request may have got a new one meanwhile
    told = second === null ? SIGNED_OUT : await send(second);
  }
  if (told === SIGNED_OUT) toLogin();
  return told;
}

/** Goes to the page where one signs in, which leads back to where this page is now. */
export function toLogin() {
  if (leaving) return;
  leaving = true;
  location.replace(`/login?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`);
}

/** Ends the session, on the server too, and leaves; gives the problem, if that did not work. */
export async function signOut() {
  const by = await tokenNow();
  leaving = true;
  const {problem} = await ask("/api/logout", undefined, {Authorization: `Bearer ${by}`}, "POST");
  leaving = problem === undefined || problem.status === 401;
  if (leaving) location.replace("/login");
  return leaving ? undefined : problem;
}
