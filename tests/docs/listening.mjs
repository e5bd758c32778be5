// Drives the example of docs/socket.md: node listening.mjs <the example> <the server's address>.
// Prints the member's name and tokens, then every event. The first token it gives away is one that is refused.
const [example, url] = process.argv.slice(2);
const { listen } = await import(example);
const name = 'js_' + Math.random().toString(36).slice(2, 10);
const answer = await fetch(url + '/api/signup', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ username: name, email: name + '@example.org', password: 'corr3ct-horse' }),
});
const { data } = await answer.json();
console.log(JSON.stringify({ type: 'member', token: data.access_token }));
const headers = { Authorization: 'Bearer ' + data.access_token };
let events;
do {  // until there is something to be told
  events = await (await fetch(url + '/api/events?after=0', { headers })).json();
} while (!events.data.length);
let asked = 0;
const stop = listen(url, async () => (asked++ ? data.access_token : 'an.old.one'), (event) => {
  console.log(JSON.stringify({ ...event, asked }));
});
process.stdin.once('data', () => { stop(); process.stdin.destroy(); });
