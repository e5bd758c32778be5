// /admin: what administrators see and do; the fragment says which part.
import {rowsFor} from "./adminrows.js";
import {sure} from "./dialogs.js";
import {onSend, say} from "./form.js";
import {enter, listen, tell} from "./member.js";
import {withQuery} from "./pages.js";
import {listIn} from "./rows.js";
import * as schedules from "./schedules.js";
import {askAsMember} from "./session.js";
import {readStatistics} from "./statistics.js";
import {openTabs} from "./tabs.js";
import {element} from "./words.js";

const LISTS = {
  members: {path: "users", hint: "A part of the user name or the e-mail address."},
  posts: {path: "posts", hint: "A part of the title or the author's name."},
  jobs: {path: "jobs", hint: "A part of the kind, the key or the last error.", choice: "state",
    choices: ["ready", "running", "done", "failed"]},
  mails: {path: "mails", hint: "A part of the recipient or the letter.", choice: "status",
    choices: ["queued", "sent", "failed", "not_configured"]},
  audit: {path: "audit", hint: "A part of what was done or of what it was done to.", about: true},
};
const TITLES = {members: "Members", posts: "Posts", jobs: "Jobs", mails: "Mails", audit: "Audit",
  schedules: "Schedules", statistics: "Statistics"};
const at = (id) => document.getElementById(id);
const list = listIn(at("list"), 20);
const rows = rowsFor(act);
let shown = "";

begin();

async function begin() {
  const me = await enter();
  if (me === null) return;
  at("others").hidden = me.role === "admin";
  if (me.role !== "admin") return;
  at("administration").hidden = false;
  schedules.prepare();
  onSend(at("search"), open);
  await openTabs(Object.keys(TITLES), show);
  await listen(({type}) => { if (type === "import_finished" && shown === "schedules") schedules.update(); });
}

async function show(name, gone) {
  shown = name;
  say(at("heading"), TITLES[name]);
  document.title = `${TITLES[name]} - Foyer`;
  at("lists").hidden = !(name in LISTS);
  for (const section of ["schedules", "statistics"]) at(section).hidden = section !== name;
  if (gone) at("heading").focus();
  if (name in LISTS) tell(await openList(LISTS[name]));
  else tell(await (name === "schedules" ? schedules.open() : readStatistics(at("statistics"))));
}

function openList({hint, choices = [], about = false}) {
  at("search").reset();
  say(at("q-hint"), hint);
  at("choice").replaceChildren(...["", ...choices].map(optionOf));
  [at("choices").hidden, at("about").hidden] = [!choices.length, !about];
  return open({});
}

function optionOf(value) {
  const made = element("option", "", value ? value.replace("_", " ") : "all");
  made.value = value;
  return made;
}

function open({choice, ...rest}) {
  const {path, choice: name} = LISTS[shown];
  return list.open(withQuery(`/api/admin/${path}`, name ? {...rest, [name]: choice} : rest), rows[shown]);
}

/** Does something with the item of a row, after a question if there is one, and shows what became of it. */
async function act({id}, path, {method = "POST", deed, question}) {
  if (question && !await sure(deed, ...question)) return;
  const {data, problem} = await askAsMember(path, undefined, {}, method);
  if (tell(problem)) return;
  if (method === "DELETE") {
    list.remove(id);
    at("heading").focus();
  } else {
    list.change(id, data);
  }
}
