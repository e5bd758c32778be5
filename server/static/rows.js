// A list of the API on a page, which grows, and changes while somebody reads it.
import {inTurn, tell} from "./member.js";
import {readPages} from "./pages.js";

/**
 * The list in an element that has `.rows`, `.none` and a button `.more`. `open` shows what is at a path, each item in
 * the element that `rowOf` makes of it, and gives the problem, if there is one; an item that stays the same keeps its
 * element. `key`: the name of what tells the items apart.
 */
export function listIn(place, limit = 50, key = "id") {
  const [rows, none, more] = [".rows", ".none", ".more"].map((each) => place.querySelector(each));
  let [path, rowOf, items, next, pages, problem] = ["", null, [], null, 1, undefined];
  let known = new Map(); // by key: the element of an item, and the text of it
  let since = null; // what was changed while the list is read, of which the answer may know nothing
  const read = inTurn(async () => {
    const [wanted, count] = [path, pages];
    since = [];
    const told = await readPages(path, limit, count);
    const changes = since;
    since = null;
    if (wanted !== path) return;
    problem = told.problem;
    if (count !== pages) read(); // once more when this round is over: another page was added meanwhile
    else if (!problem) show(changes.reduce((found, change) => change(found), told.found), told.next);
  });

  function show(found, behind) {
    [items, next] = [found, behind];
    known = new Map(found.map((item) => [item[key], rowFor(item)]));
    const made = [...known.values()].map(({row}) => row);
    keepingFocus(rows, () => {
      if (made.length !== rows.children.length || made.some((row, at) => row !== rows.children[at])) {
        rows.replaceChildren(...made);
      }
    });
    none.hidden = found.length > 0 || next !== null;
    more.hidden = next === null;
  }

  function turn(change) {
    since?.push(change);
    if (items.length) show(change(items), next); // else nothing is read yet, and nobody is told that there is nothing
  }

  function rowFor(item) {
    const text = JSON.stringify(item);
    const before = known.get(item[key]);
    if (before?.text === text) return before;
    const row = rowOf(item);
    row.dataset.id = item[key];
    return {text, row};
  }

  async function showMore() {
    const [wanted, behind] = [path, next];
    const told = await readPages(path, limit, 1, behind);
    if (wanted !== path || tell(told.problem)) return;
    pages += 1;
    if (behind === next) show([...items, ...told.found], told.next);
    else await read(); // something came or went meanwhile
  }

  more.addEventListener("click", showMore);
  return {
    async update() {
      await read();
      if (problem) tell(problem);
    },
    async open(newPath, newRowOf) {
      if (newPath !== path || newRowOf !== rowOf) {
        [path, rowOf, items, next, pages, problem] = [newPath, newRowOf, [], null, 1, undefined];
        known.clear();
        rows.replaceChildren();
        [none.hidden, more.hidden] = [true, true];
      }
      await read();
      return problem;
    },
    change(id, fields) {
      turn((found) => found.map((item) => (item[key] === id ? {...item, ...fields} : item)));
    },
    remove(id) {
      turn((found) => found.filter((item) => item[key] !== id));
    },
  };
}

/** Whoever is at something of a row is afterwards at the same thing of the row that is there for the same item. */
function keepingFocus(rows, change) {
  const [held, row] = [document.activeElement, document.activeElement.closest("[data-id]")];
  const place = row && rows.contains(row) ? controls(row).indexOf(held) : -1;
  change();
  if (place < 0 || document.activeElement === held) return;
  const now = [...rows.children].find(({dataset}) => dataset.id === row.dataset.id);
  if (now) controls(now)[place]?.focus();
}

function controls(row) {
  return [...row.querySelectorAll("a, button")];
}
