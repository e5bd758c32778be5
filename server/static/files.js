// /files: the member's files, which tell by themselves how their checks end, and (/files#ID) one of them.
import {newKey} from "./api.js";
import {outcome} from "./findings.js";
import {say, theirs} from "./form.js";
import {enter, inTurn, listen, tell, wordsOf} from "./member.js";
import * as one from "./onefile.js";
import {listIn} from "./rows.js";
import {askAsMember} from "./session.js";
import {counted, element, inner} from "./words.js";

const ENOUGH = ["file_limit", "rate_limited", "no_answer", "email_unconfirmed", "not_signed_in"]; // the next fails, too
const at = (id) => document.getElementById(id);
const list = listIn(at("all"), 100);
const update = inTurn(async () => {
  const id = idNow();
  const problem = id === null ? await list.open("/api/files", rowOf) : await one.read(id, () => idNow() === id);
  if (problem && idNow() === id) tell(problem);
});

begin();

async function begin() {
  if (await enter() === null) return;
  one.prepare(update, tell);
  at("upload").addEventListener("change", ({target}) => upload([...target.files]).then(() => { target.value = ""; }));
  for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, drag);
  addEventListener("hashchange", async () => {
    await open();
    at(idNow() ? "name" : "title").focus();
  });
  await open();
  await listen(({type}) => { if (type === "ready" || type === "file_checked") update(); });
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

function rowOf({id, name, status, version, size}) {
  const about = element("span", "about", outcome(status), ` version ${version}, ${counted(size, "byte")}`);
  return element("li", "", inner(id, theirs(name)), about);
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
