// The part of /admin that shows how the server is.
import {say} from "./form.js";
import {askAsMember} from "./session.js";
import {element, facts, moment, momentOf} from "./words.js";

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** Reads the numbers and shows them in the element; gives the problem. */
export async function readStatistics(place) {
  const {data, problem} = await askAsMember("/api/admin/stats");
  if (problem) return problem;
  say(place, ...parts(data));
}

function parts({members, posts, likes, counted, jobs, people, sockets, database, providers, ...rest}) {
  return [
    facts({"Version": rest.version, "Started": moment(rest.started_at), "Sockets": sockets.toLocaleString()}),
    element("h2", "", "Members, posts and likes"),
    facts({"Members": tallyOf(members, counted.members_at), "Posts": tallyOf(posts, counted.posts_at),
      "Likes": tallyOf(likes, counted.likes_at)}),
    element("h2", "", "Jobs"), facts(numbersOf(jobs)),
    element("h2", "", "People"), facts(numbersOf(people)),
    element("h2", "", "Database"),
    facts({"Size": sizeOf(database.bytes), "Log of writes": sizeOf(database.wal_bytes),
      "Last backup": backupOf(rest.last_backup)}),
    element("h2", "", "Outside services"), element("ul", "rows", ...Object.entries(providers).map(providerRow)),
  ];
}

function tallyOf(count, at) {
  const number = count.toLocaleString();
  return at ? element("span", "", `${number}, counted `, moment(at)) : `more than ${number}`;
}

function numbersOf(counts) {
  return Object.fromEntries(Object.entries(counts).map(([name, number]) => [capital(name), number.toLocaleString()]));
}

function capital(name) {
  return name[0].toUpperCase() + name.slice(1);
}

function sizeOf(bytes) {
  if (bytes === null) return null;
  const power = Math.min(UNITS.length - 1, bytes && Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toLocaleString([], {maximumFractionDigits: 1})} ${UNITS[power]}`;
}

function backupOf(backup) {
  if (backup === null) return "none yet";
  return element("span", "", `${backup.file}, ${sizeOf(backup.bytes)}, `, moment(backup.finished_at));
}

function providerRow([name, {state, reason, until, last_error: error, last_error_at: at}]) {
  const look = state === "ready" ? "passed" : "error";
  const title = element("h3", "", capital(name), " ", element("span", `status ${look}`, state));
  return element("li", "", title,
    facts({"Reason": reason, "Until": momentOf(until), "Last error": error, "At": momentOf(at)}));
}
