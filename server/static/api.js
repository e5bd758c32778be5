// Asking the API, and waiting for what the socket tells.

const SECONDS = 60;
const LONGEST_PAUSE = 30_000;
const NOT_LET_IN = [4400, 4401, 4403]; // close codes after which another try ends in the same way

/**
 * Asks the API: POST with a body, GET without. Gives `{data}` or `{problem}`, and never throws; a problem has at least
 * `code`, `detail` and `errors`. Without an answer the code is `no_answer`.
 */
export async function ask(path, body, headers = {}) {
  const sent = body === undefined ? {} : {method: "POST", body: JSON.stringify(body),
    headers: {...headers, "Content-Type": "application/json"}};
  try {
    const answer = await fetch(path, {...sent, cache: "no-store", signal: AbortSignal.timeout(SECONDS * 1000)});
    const text = await answer.text();
    return answer.ok ? {data: text ? JSON.parse(text).data : null} : {problem: problemOf(answer, text)};
  } catch {
    return {problem: {code: "no_answer", detail: "The server did not answer. Try again.", errors: []}};
  }
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
 * The data of the first event of this type, through lost connections; null when the server lets nobody in with the
 * token. Nothing is acknowledged: whatever else waits is for a page that shows it.
 */
export async function eventOf(type, token) {
  for (let pause = 500; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    const ended = await listen(type, token);
    if (ended.data !== undefined) return ended.data;
    if (NOT_LET_IN.includes(ended.code)) return null;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function listen(type, token) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
  return new Promise((resolve) => {
    socket.onopen = () => socket.send(JSON.stringify({type: "auth", token}));
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      if (frame.type === type) {
        resolve({data: frame.data});
        socket.close();
      }
    };
    socket.onclose = (event) => resolve({code: event.code});
  });
}
