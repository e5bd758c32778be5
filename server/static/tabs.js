// Parts of a page that the fragment of its address names.

/**
 * Shows the part that the address names, now and whenever another one is named; the first one when it names none, nor
 * anything that looks as `other` says. `show` gets the name and whether somebody has gone there. The links to the parts
 * are in `nav.tabs`.
 */
export function openTabs(names, show, other = /^$/) {
  const open = (gone) => {
    const named = location.hash.slice(1);
    const name = names.includes(named) || (named && other.test(named)) ? named : names[0];
    for (const link of document.querySelectorAll(".tabs a")) {
      link.ariaCurrent = link.hash === `#${name}` ? "page" : null;
    }
    return show(name, gone);
  };
  addEventListener("hashchange", () => open(true));
  return open(false);
}
