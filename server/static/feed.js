// /feed: what members write; (/feed#by=NAME) what one of them does. Likes of one's own posts arrive by themselves.
import {once} from "./api.js";
import {formIn, sure} from "./dialogs.js";
import {say, theirs} from "./form.js";
import {enter, listen, tell} from "./member.js";
import {withQuery} from "./pages.js";
import {listIn} from "./rows.js";
import {askAsMember} from "./session.js";
import {button, counted, element, inner, moment, webLink} from "./words.js";

const at = (id) => document.getElementById(id);
const list = listIn(at("list"), 20);
const openForm = formIn(at("post"), send);
const create = once((body, headers) => askAsMember("/api/posts", body, headers));
let me = null;
let edited = null; // the id of the post that stands in the form; null for a new one
let draft = true; // whether what stands in the form belongs to a new post

begin();

async function begin() {
  me = await enter();
  if (me === null) return;
  at("write").addEventListener("click", write);
  for (const id of ["sort", "unliked"]) at(id).addEventListener("change", open);
  addEventListener("hashchange", async () => {
    await open();
    at("heading").focus();
  });
  await open();
  await listen(hear);
}

function hear({type, data}) {
  if (type === "ready") list.update();
  if (type === "post_liked") list.change(data.post_id, {like_count: data.like_count});
}

async function open() {
  const author = new URLSearchParams(location.hash.slice(1)).get("by");
  say(at("heading"), ...(author ? ["Posts of ", theirs(author)] : ["Feed"]));
  at("everybody").hidden = !author;
  const query = {author, sort: at("sort").value, unliked: at("unliked").checked};
  tell(await list.open(withQuery("/api/posts", query), rowOf));
}

function rowOf(post) {
  const {author, title, text, link, created_at: written, edited_at: changed} = post;
  const by = [inner(`by=${encodeURIComponent(author.username)}`, theirs(author.name || author.username)), ", ",
    moment(written)];
  const row = element("li", "", element("h3", "", theirs(title)),
    element("p", "by", ...by, ...(changed ? [", edited ", moment(changed)] : [])),
    element("p", "text", theirs(text)));
  if (link) row.append(element("p", "", webLink(link)));
  row.append(element("div", "deeds", ...deedsOf(post)));
  return row;
}

function deedsOf(post) {
  const likes = element("span", "soft likes", counted(post.like_count, "like"));
  if (post.author.id === me.id) return [button(() => edit(post), "Edit"), button(() => remove(post), "Delete"), likes];
  const like = button(() => turn(post), "Like");
  like.ariaPressed = String(post.liked);
  like.ariaLabel = `Like ${post.title}`;
  return [like, likes];
}

/** Likes a post, or takes the like back. */
async function turn({id, liked}) {
  const {data, problem} = await askAsMember(`/api/posts/${id}/like`, undefined, {}, liked ? "DELETE" : "PUT");
  if (!tell(problem)) list.change(id, data);
}

function write() {
  openForm("Write a post", draft ? {} : {title: "", text: "", link: ""});
  [edited, draft] = [null, true];
}

function edit({id, title, text, link}) {
  openForm("Change a post", {title, text, link});
  [edited, draft] = [id, false];
}

async function send({title, text, link = null}) {
  return edited === null ? await add({title, text, link}) : await change(edited, {title, text, link});
}

async function add(body) {
  const {problem} = await create(body);
  if (problem) return problem;
  draft = false; // the next one begins empty
  await list.update();
}

async function change(id, body) {
  const {data, problem} = await askAsMember(`/api/posts/${id}`, body, {}, "PATCH");
  if (problem) return problem;
  list.change(id, data);
}

async function remove({id, title}) {
  if (!await sure("Delete it", "Delete ", theirs(title), "? It cannot be brought back.")) return;
  const {problem} = await askAsMember(`/api/posts/${id}`, undefined, {}, "DELETE");
  if (tell(problem)) return;
  list.remove(id);
  at("heading").focus();
}
