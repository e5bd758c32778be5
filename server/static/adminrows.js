// The rows of the lists on /admin: members, posts, jobs, mails and the audit.
import {say, theirs} from "./form.js";
import {tell} from "./member.js";
import {askAsMember} from "./session.js";
import {button, element, facts, momentOf, webLink} from "./words.js";

/** What makes a row of each list. `act`: what a button does with the item of its row. */
export function rowsFor(act) {
  return {
    members: (member) => memberRow(member, act),
    posts: (post) => postRow(post, act),
    jobs: (job) => jobRow(job, act),
    mails: mailRow,
    audit: entryRow,
  };
}

function rowOf(title, values, ...deeds) {
  const row = element("li", "", element("h3", "", ...title), facts(values));
  if (deeds.length) row.append(element("div", "deeds", ...deeds));
  return row;
}

function memberRow(member, act) {
  const {id, username, name, suspended_at: suspended, role} = member;
  const title = [theirs(username), ...(role === "admin" ? [" ", badge("administrator")] : []),
    ...(suspended ? [" ", badge("suspended")] : [])];
  const question = ["Suspend ", theirs(username), "? They are signed out everywhere at once."];
  const deed = suspended ? button(() => act(member, `/api/admin/users/${id}/restore`, {}), "Restore")
    : button(() => act(member, `/api/admin/users/${id}/suspend`, {deed: "Suspend them", question}), "Suspend");
  return rowOf(title, {
    "Id": id, "Name": name, "E-mail": member.email, "Verdict": member.email_status,
    "Confirmed": momentOf(member.email_confirmed_at), "Came": momentOf(member.created_at), "Posts": member.post_count,
    "Suspended": momentOf(suspended),
  }, deed);
}

function postRow(post, act) {
  const {title, author} = post;
  const question = ["Delete ", theirs(title), " by ", theirs(author.username), "? It cannot be brought back."];
  const row = rowOf([theirs(title)], {
    "Id": post.id, "By": author.username, "Written": momentOf(post.created_at),
    "Edited": momentOf(post.edited_at), "Likes": post.like_count, "Link": post.link && webLink(post.link),
  }, button(() => act(post, `/api/posts/${post.id}`, {method: "DELETE", deed: "Delete it", question}), "Delete"));
  row.lastChild.before(element("p", "text", theirs(post.text)));
  return row;
}

function jobRow(job, act) {
  const deeds = job.state !== "failed" ? [] : [
    button(() => act(job, `/api/admin/jobs/${job.id}/retry`, {}), "Try again"),
    button(() => act(job, `/api/admin/jobs/${job.id}`,
      {method: "DELETE", deed: "Forget it", question: [`Forget job ${job.id}? It is not tried again.`]}), "Forget"),
  ];
  return rowOf([theirs(job.kind), " ", badge(job.state)], {
    "Id": job.id, "Key": job.key, "Attempts": job.attempts, "Last error": job.last_error,
    "Runs": job.finished_at === null ? momentOf(job.run_at) : null, "Made": momentOf(job.created_at),
    "Finished": momentOf(job.finished_at), "Request": job.request_id,
  }, ...deeds);
}

function mailRow(mail) {
  const text = element("p", "text");
  text.hidden = true;
  const row = rowOf([theirs(mail.subject), " ", badge(mail.status)], {
    "Id": mail.id, "To": mail.recipient, "Letter": mail.letter, "Reason": mail.reason,
    "Written": momentOf(mail.created_at), "Sent": momentOf(mail.sent_at),
  }, button(() => readMail(mail, text), "Read"));
  row.append(text);
  return row;
}

async function readMail({id}, place) {
  const {data, problem} = await askAsMember(`/api/admin/mails/${id}`);
  if (!tell(problem)) say(place, theirs(data.text));
}

function entryRow({id, act, at, actor, member, target, address, request_id: request, details}) {
  const more = Object.entries(details).map(([name, value]) => `${name} ${value}`).join(", ");
  return rowOf([theirs(act.replaceAll("_", " "))], {
    "At": momentOf(at), "By": nameOf(actor), "Member": nameOf(member), "Target": target, "Address": address,
    "Details": more, "Request": request, "Id": id,
  });
}

function nameOf(who) {
  return who && (who.username === null ? `${who.id}, who has left` : `${who.username} (${who.id})`);
}

function badge(words) {
  const look = ["failed", "suspended"].includes(words) ? "status error" : "status";
  return element("span", look, words.replaceAll("_", " "));
}
