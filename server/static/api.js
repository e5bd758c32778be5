// Asking the API, and waiting for what the socket tells.

const SECONDS = 60;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;
const NOT_LET_IN = [4400, 4401, 4403]; // close codes after which another try ends in the same way

/**
 * Asks the API: POST with a body, GET without, unless another method is said; a form goes as it is, anything else as
 * JSON. Gives `{data}`, of a list `{data, next}`, of a file `{bytes}`, or `{problem}`, and never throws; a problem has
 * at least `code`, `detail` and `errors`. Without an answer the code is `no_answer`.
 */
export async function ask(path, body, headers = {}, method = body === undefined ? "GET" : "POST", seconds = SECONDS) {
  try {
    const answer = await fetch(path, {method, ...inside(body, headers), cache: "no-store",
      signal: AbortSignal.timeout(seconds * 1000)});
    return answer.ok ? await contentOf(answer) : {problem: problemOf(answer, await answer.text())};
  } catch {
    return {problem: {code: "no_answer", detail: "The server did not answer. Try again.", errors: []}};
  }
}

function inside(body, headers) {
  if (body === undefined || body instanceof FormData) return {body, headers};
  return {body: JSON.stringify(body), headers: {...headers, "Content-Type": "application/json"}};
}

async function contentOf(answer) {
  if ((answer.headers.get("Content-Type") ?? "").startsWith("text/")) return {bytes: await answer.arrayBuffer()};
  const text = await answer.text();
  const {data, next} = text ? JSON.parse(text) : {data: null};
  return {data, next};
}

function problemOf(answer, text) {
  const told = isProblem(answer) ? JSON.parse(text) : {code: "unknown", detail: "Something went wrong. Try again."};
  const seconds = Number(answer.headers.get("Retry-After"));
  const detail = seconds > 0 ? `${told.title ?? "Not now"}. Try again in ${inWords(seconds)}.` : told.detail;
  return {code: told.code, status: answer.status, detail, errors: told.errors ?? []};
}

function isProblem(answer) {
  return (answer.headers.get("Content-Type") ?? "").startsWith("application/problem+json");
}

function inWords(seconds) {
  const [number, unit] = seconds < 100 ? [seconds, "second"] : seconds < 5400 ? [Math.ceil(seconds / 60), "minute"]
    : [Math.ceil(seconds / 3600), "hour"];
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}

/** A key under which the same request, sent again, is carried out once. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * `send` with a body, so that the same once more, because the answer was lost, is carried out once; after an answer it
 * is another one.
 */
export function once(send) {
  let sent = {};
  return async (body) => {
    const text = JSON.stringify(body);
    if (sent.text !== text) sent = {text, key: newKey()};
    const told = await send(body, {"Idempotency-Key": sent.key});
    if (told.problem?.code !== "no_answer") sent = {};
    return told;
  };
}

/**
 * The data of the first event of this type, through lost connections; null when the server lets nobody in with the
 * token. Nothing is acknowledged: whatever else waits is for a page that shows it.
 */
export async function eventOf(type, token) {
  let data = null;
  await listen(async (code) => data === null && !NOT_LET_IN.includes(code) && {token}, (frame, socket) => {
    if (frame.type !== type) return;
    data = frame.data;
    socket.close();
  });
  return data;
}

/**
 * Hears every frame that comes from now on, through lost connections. Each connection begins with a frame `ready`:
 * who may have missed something looks it up then. `tokenOf` gives the token for each, a new one when it is told that
 * the last was refused, or null to end it.
 */
export async function hearFromNowOn(tokenOf, hear) {
  const after = Number.MAX_SAFE_INTEGER; // behind whatever there is: what waits is for a page that shows it
  await listen(async (code) => {
    const token = code === 4400 || code === 4403 ? null : await tokenOf(code === 4401);
    return token && {token, after};
  }, hear);
}

/** Connects again and again; `authOf` gives what to begin with, or nothing to end it, and is told the last code. */
async function listen(authOf, hear) {
  let code, pause = FIRST_PAUSE;
  for (let auth = await authOf(); auth; auth = await authOf(code)) {
    if (code !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
    code = await connected(auth, (frame, socket) => {
      if (frame.type === "ready") pause = FIRST_PAUSE;
      hear(frame, socket);
    });
  }
}

/** One connection to its end; the code that it was closed with. */
function connected(auth, hear) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
  return new Promise((resolve) => {
    socket.onopen = () => socket.send(JSON.stringify({type: "auth", ...auth}));
    socket.onmessage = (message) => hear(JSON.parse(message.data), socket);
    socket.onclose = (event) => resolve(event.code);
  });
}
