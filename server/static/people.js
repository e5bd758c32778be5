// /people: who was imported, with addresses and cards; (/people#ID) one person.
import {sure} from "./dialogs.js";
import {onSend, say, theirs} from "./form.js";
import {enter, listen, tell} from "./member.js";
import {withQuery} from "./pages.js";
import {addressRow, cardRow, countsOf, nameOf, personRow, wholePerson} from "./person.js";
import {listIn} from "./rows.js";
import {askAsMember} from "./session.js";
import {openTabs} from "./tabs.js";
import {button, save} from "./words.js";

const EXPORT_SECONDS = 900;
const at = (id) => document.getElementById(id);
const list = listIn(at("list"), 20);
let me = null;
let found = {}; // what was searched for
let shown = "people";

begin();

async function begin() {
  me = await enter();
  if (me === null) return;
  onSend(at("search"), search);
  at("linked").addEventListener("change", async () => tell(await open()));
  at("export").addEventListener("click", exportAll);
  await openTabs(["people", "addresses", "cards"], show, /^[1-9]\d{0,15}$/);
  await listen(({type}) => { if (type === "import_finished") refresh(); });
}

async function show(name, gone) {
  shown = name;
  const isOne = !["people", "addresses", "cards"].includes(name);
  [at("all").hidden, at("one").hidden] = [isOne, !isOne];
  document.title = "People - Foyer";
  tell(await (isOne ? readOne(name) : open()));
  if (gone) at(isOne ? "name" : "heading").focus();
}

async function refresh() {
  if (at("all").hidden) return;
  await count();
  await list.update();
}

async function open() {
  const wanted = shown;
  [at("search").hidden, at("links").hidden] = [wanted !== "people", wanted === "people"];
  await count(); // first, or the list would jump under the reader's finger
  if (wanted !== shown) return undefined;
  if (wanted === "people") return list.open(withQuery("/api/people", found), personRow);
  const path = withQuery(`/api/people/${wanted}`, {linked: at("linked").value});
  return list.open(path, wanted === "cards" ? cardRow : addressRow);
}

async function count() {
  const {data} = await askAsMember("/api/people/counts");
  if (data) say(at("counts"), countsOf(data));
}

function search(filled) {
  found = filled;
  return open();
}

async function exportAll() {
  say(at("progress"), "Collecting all of them ...");
  const path = withQuery("/api/people/export", found);
  const {bytes, problem} = await askAsMember(path, undefined, {}, undefined, EXPORT_SECONDS);
  say(at("progress"), "");
  if (!tell(problem)) save(bytes, "people.csv", "text/csv");
}

async function readOne(id) {
  for (const part of ["name", "about", "deeds"]) at(part).replaceChildren();
  const {data: person, problem} = await askAsMember(`/api/people/${id}`);
  if (shown !== id || problem) return problem;
  say(at("name"), theirs(nameOf(person)));
  say(at("about"), ...wholePerson(person));
  if (me.role === "admin") at("deeds").append(button(() => remove(person), "Delete"));
  document.title = `${nameOf(person)} - Foyer`;
}

async function remove(person) {
  const question = ["Delete ", theirs(nameOf(person)), "? Addresses and cards that came by themselves stay."];
  if (!await sure("Delete the person", ...question)) return;
  const {problem} = await askAsMember(`/api/admin/people/${person.id}`, undefined, {}, "DELETE");
  if (tell(problem)) return;
  location.hash = "people";
}
