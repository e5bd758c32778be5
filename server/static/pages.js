// Lists of the API, page by page.
import {askAsMember} from "./session.js";

const MOST_EMPTY = 20; // pages on which a search has found nothing, read one after the other for one that has something

/**
 * So many pages of a list, from the first one or from a cursor on: `{found, next}`, or `{problem}`. `next`: the cursor
 * of the page behind them, null when there is none.
 */
export async function readPages(path, limit, pages, next = "") {
  const found = [];
  let empty = 0;
  for (let page = 0; page < pages && next !== null && empty < MOST_EMPTY;) {
    const told = await askAsMember(addressOf(path, limit, next));
    if (told.problem) return {problem: told.problem};
    found.push(...told.data);
    next = told.next;
    if (told.data.length) page += 1;
    else empty += 1;
  }
  return {found, next};
}

function addressOf(path, limit, cursor) {
  const address = `${path}${path.includes("?") ? "&" : "?"}limit=${limit}`;
  return cursor ? `${address}&cursor=${encodeURIComponent(cursor)}` : address;
}

/** A path with a query of what is given. */
export function withQuery(path, given) {
  const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  return query.size ? `${path}?${query}` : path;
}
