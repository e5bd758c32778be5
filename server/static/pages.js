// Lists of the API, page by page.
import {askAsMember} from "./session.js";

/** The first so many pages of a list: `{found, more}`, or `{problem}`. `more`: whether there is another page. */
export async function readPages(path, limit, pages) {
  const found = [];
  let cursor = "";
  for (let page = 0; page < pages && cursor !== null; page += 1) {
    const {data, next, problem} = await askAsMember(`${path}?limit=${limit}${cursor}`);
    if (problem) return {problem};
    found.push(...data);
    cursor = next && `&cursor=${encodeURIComponent(next)}`;
  }
  return {found, more: cursor !== null};
}
