"""Whether there is room for another child: what a node may do in all, and what it is able to do.

The operator bounds the children of all contents together, and the rate that is sent to them. What each
content needs is measured; a child is refused when the bound would be passed with it, not when it has been.
And a node whose threads are busy all the time takes nobody in before it hurts those that it has.

Who is refused hears MISS(full), and discovery finds another branch. A question is answered in the same way,
as a STREAM would come through here, too.
"""

from collections.abc import Mapping

from mcast.overlay.branch_data import BranchData
from mcast.overlay.events import Limited, RateMeasured, Strained
from mcast.wire.node import MAX_PATH, Disc, Miss, MissReason, Stream

MAX_CONTENTS = 256
"""Contents that one node relays at a time. Beyond: MISS(full)."""
MEGABIT = 1_000_000


class Room:
    """The bounds of one node."""

    def __init__(self) -> None:
        self._limits, self._is_strained = Limited(), False
        self._rates: dict[str, int] = {}  # bit/s, by content

    def learn(self, event: object) -> None:
        """Take in what is allowed, and what has been measured."""
        match event:
            case Limited():
                self._limits = event
            case RateMeasured(content, 0):
                self._rates.pop(content, None)
            case RateMeasured(content, bit_rate):
                self._rates[content] = bit_rate
            case Strained(is_strained):
                self._is_strained = is_strained

    def refuse(self, asked: Disc | Stream, branches: Mapping[str, BranchData]) -> Miss | None:
        """Refuse who asks if there is no room for one more child; None if there is."""
        content, branch = asked.content, branches.get(asked.content)
        text = ""
        if isinstance(asked, Stream):
            if branch is not None and asked.sender in branch.below:
                return None  # it comes anew, in its own place
            if branch is None and len(branches) >= MAX_CONTENTS:
                text = f"{MAX_CONTENTS} contents"
        text = text or self._objection(content, branches)
        if not text:
            return None
        return Miss(
            request=asked.request, hops=asked.hops, content=content, reason=MissReason.FULL, text=text
        )

    def _objection(self, content: str, branches: Mapping[str, BranchData]) -> str:
        """Return why there is no room for one more child of a content; nothing if there is."""
        branch = branches.get(content)
        if branch is not None and len(branch.path) > MAX_PATH:
            return f"the rendezvous point is {MAX_PATH} hops away, the most there may be"
        limits = self._limits
        if limits.children and (children := sum(map(_count, branches.values()))) >= limits.children:
            return f"{children} children, the most that it takes"
        if limits.bit_rate:
            sent = sum(self._rates.get(name, 0) * _count(each) for name, each in branches.items())
            if sent + self._rates.get(content, 0) > limits.bit_rate:
                return f"{sent / MEGABIT:.1f} of {limits.bit_rate / MEGABIT:g} Mbit/s are in use"
        return "its processor is busy with the children that it has" if self._is_strained else ""


def _count(branch: BranchData) -> int:
    return len(branch.admission.children) + len(branch.admission.waiters)
