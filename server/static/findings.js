// What a check has found, in words, and at the lines of the source.
import {theirs} from "./form.js";
import {counted, element} from "./words.js";

const MOST_LINES = 5000; // of those without a finding
const OUTCOMES = {
  pending: "waiting to be checked", running: "being checked", passed: "passed", violations: "violations",
  error: "could not be checked",
};

/** How a check has ended, or how far it is. */
export function outcome(status) {
  return element("span", `status ${status}`, OUTCOMES[status] ?? status);
}

/** A check that has ended, in a sentence or two. */
export function summary(check) {
  if (check.status === "error") return ["It could not be checked: ", theirs(check.reason ?? "unknown"), "."];
  const codes = Object.entries(check.counts).map(([code, number]) => `${code} \u00d7 ${number}`).join(", ");
  const words = [check.total ? `${counted(check.total, "finding")}: ` : "Nothing was found.", codes];
  if (check.total) words.push(".");
  if (check.suppressed) words.push(` Silenced by noqa: ${check.suppressed}.`);
  const told = check.findings.length;
  if (check.total + check.suppressed > told) words.push(` The first ${told} are shown.`);
  return words;
}

/** The text of a source, read as its first two lines say (PEP 263). */
export function textOf(bytes) {
  const head = new TextDecoder("latin1").decode(bytes.slice(0, 1000)).split(/\r\n|\r|\n/, 2).join("\n");
  const named = /^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)/m.exec(head)?.[1].toLowerCase().replace("latin-", "latin");
  try {
    return new TextDecoder(named).decode(bytes);
  } catch { // a name that the browser does not know
    return new TextDecoder().decode(bytes);
  }
}

/** The lines of the source, each with what was found there. */
export function linesOf(text, findings) {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") lines.pop();
  const byLine = Map.groupBy(findings, ({line}) => line);
  const first = Array.from({length: Math.min(lines.length, MOST_LINES)}, (_, index) => index + 1);
  const numbers = [...new Set([...first, ...byLine.keys()])].sort((a, b) => a - b);
  return numbers.map((number) => lineOf(number, lines[number - 1] ?? "", byLine.get(number) ?? []));
}

function lineOf(number, text, findings) {
  const made = element("li", findings.some(({suppressed}) => !suppressed) ? "found" : "");
  made.value = number;
  made.append(element("code", "", text), ...findings.map(wordsOf));
  return made;
}

function wordsOf({column, code, text, suppressed}) {
  const words = [element("b", "", code), ` in column ${column}: `, theirs(text)];
  return suppressed ? element("p", "finding suppressed", ...words, " (silenced by noqa)")
    : element("p", "finding", ...words);
}
