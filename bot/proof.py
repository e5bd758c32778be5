"""Proves that a run kept its rules: reads everything back and judges it, trusting neither server nor plan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.actor import DoneLike, Member, Run, each
from bot.client import FoyerClient
from bot.config import BotConfig
from bot.models import ENRICHMENT_ENDS, Post
from bot.replay import Replay
from bot.words import draft


@dataclass
class Listed:
    """A post as the server lists it, and who liked it by the server's account."""

    id: int
    title: str
    text: str
    like_count: int
    likers: list[str]


@dataclass
class Seen:
    """A member as the server shows it afterwards; `later` are statuses of `enriched` no socket told."""

    username: str
    enrichment: str
    later: list[str]
    posts: list[Listed]


@dataclass
class Evidence:
    """Everything the judgement needs: the limits, what the run did, and what the server says now.

    Members are numbered in the order of their sign-up; `made` is, per member, its posts: (id, title, text).
    """

    members_wanted: int
    max_posts: int
    max_likes: int
    stopped: str
    members: list[Member]
    planned_posts: list[int]
    made: list[list[tuple[int, str, str]]]
    likes: list[DoneLike]
    seen: list[Seen] = field(default_factory=list)


async def prove(run: Run, config: BotConfig) -> dict[str, bool]:
    """Reads a run back and says of each rule, by name, whether it was kept. Raises FoyerError."""
    evidence = Evidence(
        config.number_of_users, config.max_posts_per_user, config.max_likes_per_user, run.plan.stopped,
        run.members, list(run.plan.posts), _made(run), run.likes, await _read_all(run, config.concurrency),
    )
    return judge(evidence)


def judge(evidence: Evidence) -> dict[str, bool]:
    """Says of each rule whether the evidence shows that it was kept. Pure."""
    replay = Replay([[post_id for post_id, _, _ in posts] for posts in evidence.made], evidence.max_likes)
    order, allowed = replay.run(evidence.likes)
    return {
        "members_signed_up": _members_signed_up(evidence),
        "enriched_exactly_once": all(map(_enriched_once, evidence.members, evidence.seen)),
        "enrichment_agrees": all(map(_enrichment_agrees, evidence.members, evidence.seen)),
        "posts_within_limit": all(len(seen.posts) <= evidence.max_posts for seen in evidence.seen),
        "posts_as_planned": _posts_as_planned(evidence),
        "likes_within_limit": max(_likes_per_member(evidence).values(), default=0) <= evidence.max_likes,
        "no_own_likes": not any(
            seen.username in post.likers for seen in evidence.seen for post in seen.posts),
        "no_double_likes": _no_double_likes(evidence),
        "like_counts_agree": _like_counts_agree(evidence),
        "order_of_likers": order,
        "every_like_allowed": allowed,
        "stopped_rightly": replay.right_end() == evidence.stopped,
    }


# Reading back

def _made(run: Run) -> list[list[tuple[int, str, str]]]:
    made: list[list[tuple[int, str, str]]] = [[] for _ in run.members]
    for (author, n), post_id in sorted(run.posts.items()):
        made[author].append((post_id, *draft(run.seed, author, n)))
    return made


async def _read_all(run: Run, concurrency: int) -> list[Seen]:
    seen: dict[int, Seen] = {}

    async def one(index: int) -> None:
        seen[index] = await _read_member(run.members[index])

    await each("proof", range(len(run.members)), one, concurrency)
    return [seen[index] for index in range(len(run.members))]


async def _read_member(member: Member) -> Seen:
    """Reads with the member's own token: limits on reading are per member."""
    client = member.client
    # Before the events: a search that has ended by now has its event by then.
    me = await client.me()
    later = [event async for event in client.stored_events(member.last_seq)]
    return Seen(
        me.username,
        (me.enrichment or await client.enrichment()).status,
        [str(event.data.get("status")) for event in later if event.type == "enriched"],
        [await _read_post(client, post) async for post in client.posts(author=member.name)],
    )


async def _read_post(client: FoyerClient, post: Post) -> Listed:
    likers = [liker.username async for liker in client.likes(post.id)]
    if post.like_count != len(likers):
        # On a busy server somebody may have liked it between the two readings: look once more.
        post = await client.post(post.id)
        likers = [liker.username async for liker in client.likes(post.id)]
    return Listed(post.id, post.title, post.text, post.like_count, likers)


# The rules that need no replay

def _members_signed_up(evidence: Evidence) -> bool:
    names = [member.name for member in evidence.members]
    return (len(set(names)) == len(names) == evidence.members_wanted
            and [seen.username for seen in evidence.seen] == names)


def _enriched_once(member: Member, seen: Seen) -> bool:
    """One event over the socket and none beside it; a search that outlasted the waiting may be without."""
    events = len(member.enriched) + len(seen.later)
    if member.pending:
        return events == 1 or (events == 0 and seen.enrichment not in ENRICHMENT_ENDS)
    return len(member.enriched) == events == 1


def _enrichment_agrees(member: Member, seen: Seen) -> bool:
    """The event told the same as the member's page, which a search still going on may have been behind."""
    if member.pending and seen.enrichment not in ENRICHMENT_ENDS:
        return True
    return all(status == seen.enrichment for status in [*member.enriched, *seen.later])


def _posts_as_planned(evidence: Evidence) -> bool:
    listed = [sorted((post.id, post.title, post.text) for post in seen.posts) for seen in evidence.seen]
    made = [sorted(posts) for posts in evidence.made]
    return listed == made and [len(posts) for posts in made] == evidence.planned_posts


def _likes_per_member(evidence: Evidence) -> Counter[str]:
    names = {member.name for member in evidence.members}
    likers = Counter(liker for seen in evidence.seen for post in seen.posts for liker in post.likers)
    return Counter({name: count for name, count in likers.items() if name in names})


def _no_double_likes(evidence: Evidence) -> bool:
    lists: Sequence[list[str]] = [post.likers for seen in evidence.seen for post in seen.posts]
    return all(len(set(likers)) == len(likers) for likers in lists) and \
        len(set(evidence.likes)) == len(evidence.likes)


def _like_counts_agree(evidence: Evidence) -> bool:
    """The count is the number of names, and those of the run are the ones the run was told of."""
    names = {member.name for member in evidence.members}
    done = Counter((like.post_id, evidence.members[like.member].name) for like in evidence.likes)
    posts = [post for seen in evidence.seen for post in seen.posts]
    found = Counter((post.id, liker) for post in posts for liker in post.likers if liker in names)
    return found == done and all(post.like_count == len(post.likers) for post in posts)
