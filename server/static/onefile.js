// The part of /files that shows one file: its source with what was found, its checks, and what can be done with it.
import {newKey} from "./api.js";
import {sure, unasked} from "./dialogs.js";
import {linesOf, outcome, summary, textOf} from "./findings.js";
import {onSend, say, theirs} from "./form.js";
import {readPages} from "./pages.js";
import {askAsMember} from "./session.js";
import {counted, element, moment, save} from "./words.js";

const at = (id) => document.getElementById(id);
const CHECKS = 10; // on a page of them: each brings all its findings
let file = null;
let source = {}; // the text of a version
let shown = ""; // which check stands at the lines
let pages = 1;

/** Lets the part be used. `changed`: is called when there is something new; `wrong`: tells what went wrong. */
export function prepare(changed, wrong) {
  const told = (deed) => async (event) => wrong(await deed(event)) || changed();
  at("download").addEventListener("click", async () => wrong(await download()));
  at("replace").addEventListener("change", told(replace));
  at("older").addEventListener("click", () => { pages += 1; changed(); });
  at("delete").addEventListener("click", async () => wrong(await remove()));
  onSend(at("again"), async (filled) => await checkAgain(filled) ?? changed());
}

/** Nothing of a file stands there until another one is read. */
export function forget() {
  file = null;
  [source, shown, pages] = [{}, "", 1];
  at("there").hidden = true;
  at("name").textContent = "";
  unasked();
}

/** Reads a file and its checks, and shows them, if they are still what is `wanted`; gives the problem. */
export async function read(id, wanted) {
  const {data, problem} = await askAsMember(`/api/files/${id}`);
  if (problem || !wanted()) return problem;
  const history = await readPages(`/api/files/${id}/checks`, CHECKS, pages);
  const missing = history.problem ?? await readSource(data);
  if (missing || !wanted()) return missing;
  file = data;
  show(history);
}

async function readSource({id, version}) {
  if (source.id === id && source.version === version) return undefined;
  const {bytes, problem} = await askAsMember(`/api/files/${id}/content?version=${version}`);
  if (bytes) source = {id, version, text: textOf(bytes)};
  return problem;
}

function show({found, next}) {
  at("there").hidden = false;
  if (at("name").textContent !== file.name) say(at("name"), theirs(file.name));
  document.title = `${file.name} - Foyer`;
  say(at("about"), outcome(file.status), ` Version ${file.version}, ${counted(file.size, "byte")}`);
  at("checks").replaceChildren(...found.map(lineOf));
  at("older").hidden = next === null;
  const ended = found.find((check) => check.version === file.version && check.finished_at !== null);
  const key = `${file.id} ${file.version} ${ended?.id}`;
  if (key !== shown) showSource(ended); // else what one reads, or has marked, would jump
  shown = key;
}

function showSource(check) {
  say(at("summary"), ...(check ? summary(check) : ["It was not checked yet."]));
  at("source").replaceChildren(...linesOf(source.text, check?.findings ?? []));
}

function lineOf(check) {
  const {max_line_length: longest, select, ignore} = check.options;
  const words = [`Version ${check.version}: `, outcome(check.status), " ", moment(check.requested_at)];
  if (check.status === "violations") words.push(`, ${counted(check.total, "finding")}`);
  if (longest) words.push(`, lines up to ${longest}`);
  if (select) words.push(`, only ${select.join(" ")}`);
  if (ignore) words.push(`, without ${ignore.join(" ")}`);
  if (check.mail) words.push(`, mail ${check.mail.replace("_", " ")}`);
  const made = element("li", "", ...words);
  if (check.reason) made.append(": ", theirs(check.reason));
  if (check.flake8) made.append(element("p", "hint", `flake8 ${check.flake8}, ${check.python}`));
  return made;
}

async function download() {
  const {bytes, problem} = await askAsMember(`/api/files/${file.id}/content`);
  if (bytes) save(bytes, file.name, "text/x-python");
  return problem;
}

async function replace({target}) {
  const form = new FormData();
  form.append("file", target.files[0]);
  target.value = "";
  const {problem} = await askAsMember(`/api/files/${file.id}`, form, {}, "PATCH");
  return problem;
}

async function checkAgain({max_line_length: longest, ...rest}) {
  const body = longest ? {...rest, max_line_length: Number(longest)} : rest;
  return (await askAsMember(`/api/files/${file.id}/checks`, body, {"Idempotency-Key": newKey()})).problem;
}

async function remove() {
  const question = ["Delete ", theirs(file.name), " with all its versions and checks? It cannot be brought back."];
  if (!await sure("Delete it", ...question)) return undefined;
  const {problem} = await askAsMember(`/api/files/${file.id}`, undefined, {}, "DELETE");
  if (!problem) location.hash = "";
  return problem;
}
