// /referrals: the member's link, who came by it, and what it brought. A reward arrives by itself.
import {say, theirs} from "./form.js";
import {enter, inTurn, listen, tell} from "./member.js";
import {listIn} from "./rows.js";
import {askAsMember} from "./session.js";
import {element, facts, moment, webLink} from "./words.js";

const REASONS = {invitee_reward: "for coming by an invitation", inviter_reward: "for those whom you invited"};
const at = (id) => document.getElementById(id);
const invited = listIn(at("invited"));
const ledger = listIn(at("ledger"));
const update = inTurn(async () => {
  const problems = await Promise.all([summarise(), invited.open("/api/referrals/invited", invitedRow),
    ledger.open("/api/referrals/ledger", entryRow)]);
  tell(problems.find(Boolean));
});

begin();

async function begin() {
  if (await enter() === null) return;
  at("copy").addEventListener("click", copy);
  await update();
  await listen(({type}) => { if (type === "ready" || type === "referral_credited") update(); });
}

async function summarise() {
  const {data, problem} = await askAsMember("/api/referrals");
  if (problem) return problem;
  const {link, code, balance, currency, invited: came, counted, rewarded, until_next_reward: missing} = data;
  say(at("link"), webLink(link));
  say(at("code"), code);
  say(at("balance"), money(balance, currency));
  say(at("numbers"), facts({"Signed up": came, "Count for rewards": counted, "Rewarded": rewarded,
    "Until the next reward": missing}));
  at("summary").hidden = false;
}

/** An amount in minor units, such as cents, in the reader's own way of writing it. */
function money(amount, currency) {
  const format = new Intl.NumberFormat(undefined, {style: "currency", currency});
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function invitedRow({username, joined_at: joined, counted}) {
  const who = username === null ? "Somebody who has left" : theirs(username);
  return element("li", "", who, ", ", moment(joined), counted ? "" : ", does not count for rewards yet");
}

function entryRow({amount, currency, reason, balance, at: when}) {
  const [sum, then] = [money(amount, currency), money(balance, currency)];
  const words = [` ${REASONS[reason] ?? reason}, `, moment(when), `, then ${then}`];
  return element("li", "", element("strong", "", sum), ...words);
}

async function copy() {
  const link = at("link").textContent;
  try {
    await navigator.clipboard.writeText(link);
    say(at("copied"), "The link is copied.");
  } catch { // no clipboard is there without https, or the reader does not allow it
    getSelection().selectAllChildren(at("link"));
    say(at("copied"), "The link is marked: copy it by your keyboard or menu.");
  }
}
