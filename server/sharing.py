"""What the processes that serve one database tell each other, so that what one remembers does not outlive what another
has changed."""
from __future__ import annotations

from functools import partial

from server.accounts.gate import SESSION_ENDED
from server.app import Foyer
from server.events import log as events
from server.storage import Channel

EVENT, POSTS, JOBS, LIMITS = "event", "posts", "jobs", "limits"
LOOKED_AT_ONCE = 500  # members


def share(foyer: Foyer, channel: Channel) -> None:
    """Tells the others what is done here, and hears what they have done; before the channel is started."""
    foyer.nudges.elsewhere = lambda user_id, seq: channel.tell(EVENT, f"{user_id} {seq}")
    foyer.memory.elsewhere = lambda what, id_: channel.tell(POSTS, f"{what} {id_}")
    foyer.queue.elsewhere = partial(channel.tell, JOBS, "")
    foyer.limiter.elsewhere = lambda name, subject, step: channel.tell(LIMITS, f"{name} {step} {subject}")
    channel.listen(EVENT, partial(_nudge, foyer))
    channel.listen(POSTS, partial(_forget, foyer))
    channel.listen(JOBS, lambda *_: foyer.queue.wake())
    channel.listen(LIMITS, partial(_count, foyer))
    channel.listen(SESSION_ENDED, lambda id_, _: foyer.gate.session_ended(int(id_)))
    channel.doubt(partial(_look_again, foyer))


def _nudge(foyer: Foyer, text: str, count: int) -> None:
    user_id, seq = map(int, text.split())
    foyer.nudges.tell(user_id, seq, None)


def _forget(foyer: Foyer, text: str, count: int) -> None:
    what, _, id_ = text.partition(" ")
    foyer.memory.heard(what, int(id_))


def _count(foyer: Foyer, text: str, count: int) -> None:
    name, step, subject = text.split(" ", 2)
    foyer.limiter.count_elsewhere(name, subject, count * float(step))


async def _look_again(foyer: Foyer) -> None:
    """Something may have been missed: nothing that is remembered is believed, and whoever listens is caught up."""
    await foyer.changed_elsewhere()
    members = foyer.nudges.members()
    for begin in range(0, len(members), LOOKED_AT_ONCE):
        newest = await foyer.database.read(events.newest, members[begin:begin + LOOKED_AT_ONCE])
        for user_id, seq in newest.items():
            foyer.nudges.tell(user_id, seq, None)
