"""Whether there is room for another child: what a node may do in all, and what it is able to do.

**The children.** The operator bounds the children of all contents together.

**The rate** that is sent to all of them. A child is refused when the bound would be passed with it, not when
it has been: so what a content needs must be known before its first datagram comes, as a crowd asks for one
that has just begun. It counts

    as it is measured here, once that is known
    else as FOUND has told it: it comes before any STREAM, along the way of the tree, from who streams the
         content or from the rendezvous point, whose servers list it
    else as the greatest that is known here, or `ASSUMED_BIT_RATE`: a live input that has just begun, or an
         older version on the way. What cannot be told is taken for too much rather than for nothing; but the
         first child is taken in, without which it would never be measured.

**The processor.** An interpreter uses one core at most, so a process whose threads together are near that
cannot keep up. A child costs it no more than those that it has do, on average; so while it is busy, so many
are taken in until the next look that half of what is left is used, as who has just come catches up at a
multiple of the rate. Beyond `FULL_SHARE` nobody is. Only the contents of that process are concerned: a new
one goes to a process that rests.

Who is refused hears MISS(full), and discovery finds another branch. A question is answered in the same way,
as a STREAM would come through here, too. Where the reason passes by itself, he is told when to come again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mcast.overlay.actions import Action, Reply
from mcast.overlay.branch_data import BranchData
from mcast.overlay.events import Answered, CarrierLoad, Limited, LoadMeasured, RateMeasured, ServerListed
from mcast.wire.node import MAX_PATH, Disc, Found, Miss, MissReason, Stream

MAX_CONTENTS = 256
"""Contents that one node relays at a time. Beyond: MISS(full)."""
MEGABIT = 1_000_000
ASSUMED_BIT_RATE = 10 * MEGABIT
"""Of a content of which nothing is known: a picture of 1080 lines, as most are encoded, and some room."""
MAX_TOLD = 1024
"""Contents whose rate is remembered as others have told it: four times what one node relays."""
BUSY_SHARE, FULL_SHARE = 0.6, 0.8
"""Of a core: from where on a process gets only so many children a look, and from where on none. At 1 it has
fallen behind; the rest is for bursts within a look, such as keyframes and reports that come together."""
BUSY_TEXT = "its processor is busy with the children that it has"
FIRST_TURN, LATEST_TURN = 0.5, 5.0
"""Seconds until who is refused because a process is busy asks again: until then there was another look."""
TOO_LATE_MS = 250
"""The same for a STREAM: its sender was told FOUND, and others came first. So he has not been told yet whom
else he may ask, and when his turn is: the answer to his next question does."""
TURNS = 200
"""So many a second: those of a crowd do not come again in one moment."""


@dataclass(slots=True)
class _Carrier:
    """A process that carries contents, and how many children it may get until the next look."""

    load: CarrierLoad
    places: int | None  # None: any number

    @property
    def is_full(self) -> bool:
        return self.places == 0

    def take(self) -> None:
        if self.places:
            self.places -= 1


@dataclass(frozen=True, slots=True)
class _No:
    """Why there is no room, and when to ask again, if that passes by itself."""

    text: str
    passes: bool = False


class Room:
    """The bounds of one node. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._limits = Limited()
        self._measured: dict[str, int] = {}  # bit/s, by content
        self._told: dict[str, int] = {}  # the same, as others say; the oldest first
        self._carriers: list[_Carrier] = []
        self._last_turn = 0.0

    def learn(self, event: object, branches: Mapping[str, BranchData]) -> None:
        """Take in what is allowed, what has been measured, and what others say."""
        match event:
            case Limited():
                self._limits = event
            case RateMeasured(content, 0):
                self._measured.pop(content, None)
            case RateMeasured(content, bit_rate):
                self._measured[content] = bit_rate
            case LoadMeasured(carriers):
                self._carriers = [_Carrier(load, _places(load, branches)) for load in carriers]
            case Answered(answer=Found(content=content, bit_rate=bit_rate)) if bit_rate:
                self._note_told(content, bit_rate)
            case ServerListed(contents=contents):
                for info in contents:
                    if info.bit_rate:
                        self._note_told(info.name, info.bit_rate)

    def refuse(self, asked: Disc | Stream, branches: Mapping[str, BranchData], now: float) -> Miss | None:
        """Refuse who asks if there is no room for one more child; None if there is.

        Then a STREAM has taken one of the places that there are until the next look.
        """
        content = asked.content
        branch = branches.get(content)
        if isinstance(asked, Stream) and branch is not None and asked.sender in branch.below:
            return None  # it comes anew, in its own place
        no = self._objection(content, branches, is_stream=isinstance(asked, Stream))
        if no is None:
            carrier = self._carrier_for(content) if isinstance(asked, Stream) else None
            if carrier is not None:
                carrier.take()
            return None
        # Who asks one alone, on the way, has others to ask: he is to go on at once.
        has_others = isinstance(asked, Disc) and asked.scoped
        return Miss(
            request=asked.request, hops=asked.hops, content=content, reason=MissReason.FULL, text=no.text,
            retry_ms=0 if has_others or not no.passes else self._retry_ms(asked, now),
        )  # fmt: skip

    def full_contents(self, branches: Mapping[str, BranchData]) -> frozenset[str]:
        """Return the contents of which no more children are taken in, though there is room for others."""
        if not self._limits.bit_rate and not any(carrier.is_full for carrier in self._carriers):
            return frozenset()
        sent = self._sent(branches)
        return frozenset(
            content for content in branches if self._too_much(content, branches, sent) or self._busy(content)
        )

    def why_full(self, branches: Mapping[str, BranchData]) -> str:
        """Return why no more children are taken in, of whatever content; nothing if some may be."""
        limits = self._limits
        if self._carriers and all(carrier.is_full for carrier in self._carriers):
            return BUSY_TEXT
        if limits.children and (children := _children(branches)) >= limits.children:
            return _so_many(children)
        if not limits.bit_rate or not branches:
            return ""
        sent, least = self._sent(branches), min(map(self._rate, branches))
        return self._in_use(sent) if sent + least > limits.bit_rate else ""

    def telling(self, actions: Iterable[Action]) -> list[Action]:
        """Add to each FOUND what rate the content has, if that is known."""
        return [self._with_rate(action) for action in actions]

    def _with_rate(self, action: Action) -> Action:
        if not isinstance(action, Reply) or not isinstance(found := action.message, Found):
            return action
        rate = self._measured.get(found.content) or self._told.get(found.content, 0)
        return replace(action, message=replace(found, bit_rate=rate))

    def _note_told(self, content: str, bit_rate: int) -> None:
        self._told.pop(content, None)
        self._told[content] = bit_rate
        while len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]

    def _rate(self, content: str) -> int:
        """Return what one child of a content costs, as far as anybody knows."""
        known = self._measured.get(content) or self._told.get(content)
        return known or max(self._measured.values(), default=0) or ASSUMED_BIT_RATE

    def _sent(self, branches: Mapping[str, BranchData]) -> int:
        """Return what all children together cost."""
        counted = ((name, _count(branch)) for name, branch in branches.items())
        return sum(self._rate(name) * count for name, count in counted if count)

    # Why there is none

    def _objection(self, content: str, branches: Mapping[str, BranchData], *, is_stream: bool) -> _No | None:
        branch, limits = branches.get(content), self._limits
        if is_stream and branch is None and len(branches) >= MAX_CONTENTS:
            return _No(f"{MAX_CONTENTS} contents")
        if branch is not None and len(branch.path) > MAX_PATH:
            return _No(f"the rendezvous point is {MAX_PATH} hops away, the most there may be")
        if limits.children and (children := _children(branches)) >= limits.children:
            return _No(_so_many(children))
        if limits.bit_rate and (no := self._too_much(content, branches, self._sent(branches))) is not None:
            return no
        return self._busy(content)

    def _too_much(self, content: str, branches: Mapping[str, BranchData], sent: int) -> _No | None:
        if not self._limits.bit_rate or sent + self._rate(content) <= self._limits.bit_rate:
            return None
        is_guess = content not in self._measured and content not in self._told
        if is_guess and sent < self._limits.bit_rate and not self._has_children(content, branches):
            return None  # the first one, by whom it is measured
        used = self._in_use(sent)
        return _No(f"{used}, as far as is known yet" if is_guess else used, passes=is_guess)

    def _in_use(self, sent: int) -> str:
        return f"{sent / MEGABIT:.1f} of {self._limits.bit_rate / MEGABIT:g} Mbit/s are in use"

    def _has_children(self, content: str, branches: Mapping[str, BranchData]) -> bool:
        branch = branches.get(content)
        return branch is not None and _count(branch) > 0

    def _busy(self, content: str) -> _No | None:
        carrier = self._carrier_for(content)
        if carrier is None or not carrier.is_full:
            return None
        return _No(BUSY_TEXT, passes=True)

    def _carrier_for(self, content: str) -> _Carrier | None:
        """Return the process that carries a content, else the one that rests most; None: none is busy."""
        for carrier in self._carriers:
            if content in carrier.load.contents:
                return carrier
        return min(self._carriers, key=lambda each: each.load.share, default=None)

    def _retry_ms(self, asked: Disc | Stream, now: float) -> int:
        if isinstance(asked, Stream):
            return TOO_LATE_MS
        earliest = max(now + FIRST_TURN, self._last_turn + 1 / TURNS)
        self._last_turn = min(earliest, now + LATEST_TURN)
        return round((self._last_turn - now) * 1000)


def _places(load: CarrierLoad, branches: Mapping[str, BranchData]) -> int | None:
    """Return how many more children a process may get until the next look; None: any number."""
    if load.is_strained or load.share >= FULL_SHARE:
        return 0
    if load.share < BUSY_SHARE:
        return None
    children = sum(_count(branches[content]) for content in load.contents if content in branches)
    return max(1, int(children * (FULL_SHARE - load.share) / load.share / 2))


def _so_many(children: int) -> str:
    return f"{children} children, the most that it takes"


def _children(branches: Mapping[str, BranchData]) -> int:
    return sum(map(_count, branches.values()))


def _count(branch: BranchData) -> int:
    return len(branch.admission.children) + len(branch.admission.waiters)
