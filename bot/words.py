"""What the bot's members write: small posts such as people leave on a notice board. Same seed, same words."""

import random
from typing import NamedTuple

_OPENINGS = (
    "This morning", "On the way home", "Last Sunday", "After the rain", "Just before supper", "At the market",
    "For the third time this week", "While waiting for the bus", "Quite by chance", "On the long walk back",
)
_DOINGS = (
    "I found", "we talked about", "my neighbour showed me", "I finally repaired", "the children painted",
    "somebody left me", "I nearly lost", "we tried out", "I learned something about", "my sister sent me",
)
_THINGS = (
    "an old bicycle lamp", "a recipe for plum cake", "the map of the valley", "a box of seedlings",
    "the garden gate", "a book about clouds", "the kitchen clock", "three kinds of apples",
    "a very patient cat", "the radio in the shed", "a song from my school days", "the first strawberries",
)
_FEELINGS = (
    "It made my whole day.", "I still have to smile about it.", "It was easier than I thought.",
    "Next time I shall bring a camera.", "I would do it again tomorrow.", "It did not go as planned at all.",
    "Now the evening smells of it.", "You should have seen our faces.",
)
_QUESTIONS = (
    "Does anybody know more about it?", "Who would like to come along next time?",
    "How do you do it at home?", "Has this happened to you as well?", "What would you have done?",
    "Shall I post a picture?",
)
_TITLES = ("About {}", "{}, at last", "A few words on {}", "News of {}", "{} and I", "Thinking of {}")


class Draft(NamedTuple):
    title: str
    text: str


def draft(seed: int, author: int, n: int) -> Draft:
    """Writes the n-th post of a member of the run with this seed."""
    rng = random.Random(f"foyer-bot:{seed}:words:{author}:{n}")
    thing = rng.choice(_THINGS)
    title = rng.choice(_TITLES).format(thing)
    sentences = [f"{rng.choice(_OPENINGS)} {rng.choice(_DOINGS)} {thing}.", rng.choice(_FEELINGS)]
    if rng.random() < 0.4:
        sentences.append(rng.choice(_QUESTIONS))
    return Draft(title[0].upper() + title[1:], " ".join(sentences))
