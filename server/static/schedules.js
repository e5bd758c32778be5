// The part of /admin that shows the schedules of the import, changes them, and lists what they did.
import {formIn} from "./dialogs.js";
import {say, theirs} from "./form.js";
import {tell} from "./member.js";
import {listIn} from "./rows.js";
import {askAsMember} from "./session.js";
import {button, counted, element, facts, momentOf} from "./words.js";

const ALL = "/api/admin/schedules";
const at = (id) => document.getElementById(id);
const schedules = listIn(at("all"), 20, "name");
const past = listIn(at("past"), 10);
let openForm = null;
let changed = ""; // the name of the schedule that stands in the form

/** Lets the part be used. */
export function prepare() {
  openForm = formIn(at("schedule"), change);
}

export function open() {
  return schedules.open(ALL, scheduleRow);
}

/** Reads what is shown again. */
export async function update() {
  await schedules.update();
  if (!at("history").hidden) await past.update();
}

function scheduleRow({name, every_seconds: every, enabled, batch, last_error: error, last_run: last, ...rest}) {
  const row = element("li", "", element("h3", "", theirs(name)), facts({
    "Runs": enabled ? `every ${counted(every, "second")}` : "only when it is told to", "Records at a time": batch,
    "Next": momentOf(rest.next_run_at), "Last error": error, "Last run": last && runWords(last),
  }));
  row.append(element("div", "deeds", button(() => runNow(name), "Run now"),
    button(() => edit({name, every, enabled, batch}), "Change"), button(() => openRuns(name), "What it did")));
  return row;
}

function runWords(run) {
  const status = element("span", `status ${run.status === "failed" ? "error" : run.status}`, run.status);
  const made = element("span", "", status, " ", momentOf(run.started_at), ` ${numbersOf(run)}`);
  if (run.error) made.append(": ", theirs(run.error));
  return made;
}

function numbersOf(run) {
  return ["new", "changed", "unchanged", "rejected", "linked"].map((name) => `${name} ${run[name]}`).join(", ");
}

async function runNow(name) {
  const {problem} = await askAsMember(`${ALL}/${name}/run`, undefined, {}, "POST");
  if (!tell(problem)) await update();
}

function edit({name, every, enabled, batch}) {
  changed = name;
  openForm(`Schedule of ${name}`, {every_seconds: every, batch, enabled});
}

async function change({every_seconds: every, batch, enabled}) {
  const body = {every_seconds: Number(every), batch: Number(batch), enabled: enabled !== undefined};
  const {problem} = await askAsMember(`${ALL}/${changed}`, body, {}, "PATCH");
  if (problem) return problem;
  await update();
}

async function openRuns(name) {
  at("history").hidden = false;
  say(at("runs"), "What ", theirs(name), " did");
  at("runs").focus();
  tell(await past.open(`${ALL}/${name}/runs`, runRow));
}

function runRow(run) {
  const reasons = Object.entries(run.reasons ?? {}).map(([reason, number]) => `${reason} (${number})`).join(", ");
  return element("li", "", runWords(run), facts({"Finished": momentOf(run.finished_at), "Rejected": reasons}));
}
