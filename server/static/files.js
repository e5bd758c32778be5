// /files: the member's files, which tell by themselves how their checks end, and (/files#ID) one of them.
import {hearFromNowOn, newKey} from "./api.js";
import {counted, element, outcome} from "./findings.js";
import {say, theirs} from "./form.js";
import * as one from "./onefile.js";
import {readPages} from "./pages.js";
import {askAsMember, signOut, toLogin, tokenNow} from "./session.js";

const LIMIT = 100;
const ENOUGH = ["file_limit", "rate_limited", "no_answer", "email_unconfirmed", "not_signed_in"]; // the next fails, too
const at = (id) => document.getElementById(id);
const rows = new Map();
let pages = 1;
let updating = null;
let outdated = false;

begin();

async function begin() {
  if (await tokenOrLeave() === null) return;
  for (const each of document.querySelectorAll("button, input")) each.disabled = false;
  one.prepare(update, tell);
  at("out").addEventListener("click", async () => tell(await signOut()));
  at("more").addEventListener("click", () => { pages += 1; update(); });
  at("upload").addEventListener("change", ({target}) => upload([...target.files]).then(() => { target.value = ""; }));
  for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, drag);
  addEventListener("hashchange", async () => {
    await open();
    at(idNow() ? "name" : "title").focus();
  });
  await open();
  await hearFromNowOn(tokenOrLeave, ({type}) => { if (type === "ready" || type === "file_checked") update(); });
}

async function tokenOrLeave(refused) {
  const token = await tokenNow(refused);
  if (token === null) toLogin();
  return token;
}

/** The id of the file that the address names. */
function idNow() {
  return /^#([1-9]\d{0,15})$/.exec(location.hash)?.[1] ?? null;
}

function open() {
  const id = idNow();
  tell();
  one.forget();
  at("all").hidden = id !== null;
  at("one").hidden = id === null;
  document.title = "Files - Foyer";
  return update();
}

/** Reads what is shown again; whoever asks meanwhile gets one more round, for what was read may be older. */
function update() {
  outdated = true;
  updating ??= rounds().finally(() => { updating = null; });
  return updating;
}

async function rounds() {
  while (outdated) {
    outdated = false;
    const id = idNow();
    const problem = id === null ? await readAll() : await one.read(id, () => idNow() === id);
    if (problem && idNow() === id) tell(problem);
  }
}

async function readAll() {
  const {found, more, problem} = await readPages("/api/files", LIMIT, pages);
  if (problem) return problem;
  const made = found.map(rowOf);
  const list = at("files");
  // Only when it is another list: whoever is at a link of it stays there.
  if (made.length !== list.children.length || made.some((row, place) => row !== list.children[place])) {
    list.replaceChildren(...made);
  }
  at("none").hidden = found.length > 0;
  at("more").hidden = !more;
}

function rowOf({id, name, status, version, size}) {
  const row = rows.get(id) ?? element("li", "", element("a", ""), element("span", "about"));
  const [link, about] = row.children;
  rows.set(id, row);
  link.href = `#${id}`;
  if (link.textContent !== name) link.replaceChildren(theirs(name));
  about.replaceChildren(outcome(status), ` version ${version}, ${counted(size, "byte")}`);
  return row;
}

async function upload(files) {
  const failed = [];
  const made = [];
  tell();
  for (const file of files) {
    say(at("progress"), `Uploading ${made.length + failed.length + 1} of ${files.length} ...`);
    const form = new FormData();
    form.append("file", file);
    const {data, problem} = await askAsMember("/api/files", form, {"Idempotency-Key": newKey()});
    if (data) made.push(data.id);
    else failed.push(element("div", "", theirs(file.name), `: ${wordsOf(problem)}`));
    if (ENOUGH.includes(problem?.code)) break;
  }
  say(at("progress"), `${counted(made.length, "file")} uploaded.`);
  if (made.length === 1 && files.length === 1) location.hash = made[0];
  else if (idNow()) location.hash = "";
  else await update();
  if (failed.length) say(at("wrong"), ...failed);
}

function drag(event) {
  event.preventDefault(); // or the browser leaves the page to show the file
  at("drop").classList.toggle("over", event.type === "dragover");
  if (event.type === "drop" && event.dataTransfer.files.length) upload([...event.dataTransfer.files]);
}

/** Says what is wrong, or that nothing is; whether something is. */
function tell(problem) {
  say(at("wrong"), problem ? wordsOf(problem) : "");
  return Boolean(problem);
}

function wordsOf({detail, errors}) {
  return errors.length ? errors.map(({message}) => `It ${message}.`).join(" ") : detail;
}
