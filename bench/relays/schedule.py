"""Who takes a turn when, and how long all of it takes, about. Pure.

A turn starts a contender, lets it settle, and measures some windows of it, one after another; each window is
its part of one round. Most of a node's turn is settling (its history is full after 8 s), so a second window
costs a third of what a second turn would.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from bench.relays.contenders import Contender
from bench.relays.nodes import Node
from bench.relays.rows import Row

SIDE_ROUNDS = 3
"""Of contenders whom no goal names."""
OVERLAY_SECONDS, CONTENT_SECONDS = 8.0, 0.25
"""To start a row's overlay, and for each content that its server prepares."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender's, and in how many windows it is measured."""

    number: int
    contender: Contender
    windows: int


def turns(row: Row, contenders: Sequence[Contender], rounds: int, windows: int) -> Iterator[Turn]:
    """Yield the turns of a row, `windows` of each, until all have their rounds.

    Each pass begins with another contender.
    """
    left = {contender.name: _rounds(row, contender, rounds) for contender in contenders}
    for number in count():
        if not any(left.values()):
            return
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            if taken := min(windows if row.lives_on else 1, left[contender.name]):
                left[contender.name] -= taken
                yield Turn(number, contender, taken)


def estimate(row: Row, contenders: Sequence[Contender], rounds: int, windows: int, seconds: float) -> float:
    """Return how many seconds a row takes, about, with windows of so many seconds."""
    taken = OVERLAY_SECONDS + CONTENT_SECONDS * row.needs.contents
    for turn in turns(row, contenders, rounds, windows):
        measured = turn.windows * row.window_times * seconds
        taken += row.turn_seconds or turn.contender.ready_seconds + measured
    return taken


def _rounds(row: Row, contender: Contender, rounds: int) -> int:
    most = 1 if row.is_once else min(rounds, row.most_rounds)
    decides = row.decides(contender.name) or isinstance(contender, Node)
    return most if decides else min(most, SIDE_ROUNDS)
