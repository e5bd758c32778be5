// What stands on a page: elements, numbers, moments, facts, links and buttons.
import {theirs} from "./form.js";

/** An element of this class with these words in it, strings or other elements. */
export function element(tag, className, ...words) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...words);
  return made;
}

export function counted(number, one, several = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : several}`;
}

/** A moment in the reader's own way of writing it. */
export function moment(iso) {
  const made = element("time", "", new Date(iso).toLocaleString([], {dateStyle: "medium", timeStyle: "short"}));
  made.dateTime = iso;
  return made;
}

/** A moment, if there is one. */
export function momentOf(iso) {
  return iso && moment(iso);
}

/** Names with values, strings of others or elements; those without a value are left out. */
export function facts(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", "facts", ...pairs.map(([name, value]) => (
    element("div", "", element("dt", "", name), element("dd", "", value instanceof Node ? value : theirs(value))))));
}

/** A link to another site, when it is one; else the mere words. */
export function webLink(url) {
  const good = URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol);
  if (!good) return theirs(url);
  const made = element("a", "", theirs(url));
  [made.href, made.rel] = [url, "noopener noreferrer"];
  return made;
}

/** A link within this page. */
export function inner(fragment, ...words) {
  const made = element("a", "", ...words);
  made.href = `#${fragment}`;
  return made;
}

/** A button that does something when it is pressed. */
export function button(deed, ...words) {
  const made = element("button", "plain", ...words);
  made.type = "button";
  made.addEventListener("click", deed);
  return made;
}

/** Lets the reader save bytes under a name. */
export function save(bytes, name, type) {
  const link = element("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([bytes], {type}));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun to save it by then
}
