"""When a running stream moves from a server that still works to another one that has the same bytes.

A failure moves a stream at once. A server that the layout names no more is left as soon as another one has
been found. One that has become clearly worse is left only where the layout wishes it (`move_streams`).
"Clearly" is by the metric of server_choice.py, by so much and for so long that two servers never play ball
with a stream:

    LEAST_SHARE and LEAST_GAIN_US better, for BETTER_SECONDS on end, REST_SECONDS after the last move

The other one is asked in addition, and the present one is left when both bring media. If it does not within
MOVE_SECONDS, all stays as it was, for REST_SECONDS at least. Where the present one fails meanwhile, it is no
move any more: whoever brings media first is the parent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcast.overlay.actions import Action, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import Move, Why
from mcast.overlay.server_choice import Measurement
from mcast.overlay.servers import Servers
from mcast.overlay.table import Input, State

LEAST_SHARE = 0.3
LEAST_GAIN_US = 20_000
"""Microseconds. Less than that no viewer's buffer notices, however large the share is."""
BETTER_SECONDS = 10.0
"""Two windows of measurements: no single hiccup fills both."""
REST_SECONDS = 30.0
MOVE_SECONDS = 1.0
"""Until the better server must have brought media: who comes to resume is sent away as long."""


@dataclass(frozen=True, slots=True)
class _Better:
    """A server that has been clearly better than the present one since some moment."""

    server: str
    since: float


class Mover:
    """Watches the streams of one rendezvous point. Times are monotonic seconds."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._better: dict[str, _Better] = {}  # by content
        self._rests_until: dict[str, float] = {}
        self._moving: dict[str, float] = {}  # until when the better server is waited for

    def on_layout(self) -> None:
        """Take in that other servers are named: what has just moved may have to go again."""
        self._rests_until.clear()

    def on_time(self, branches: Iterable[Branch], now: float, *, for_better: bool) -> list[Action]:
        """Move what comes from a server that is named no more; `for_better` what has a better one, too.

        To be asked ten times a second.
        """
        self._rests_until = {content: at for content, at in self._rests_until.items() if now < at}
        return [action for branch in branches for action in self._review(branch, now, for_better)]

    def _review(self, branch: Branch, now: float, for_better: bool) -> list[Action]:
        if branch.content in self._moving:
            return self._watch(branch, now)
        present = _server_of(branch)
        if present is None:
            self._better.pop(branch.content, None)
            return []
        if not self._servers.names(present.address):
            return self._replace(branch, present, now)
        return self._improve(branch, present, now) if for_better else []

    def _replace(self, branch: Branch, present: ServerParent, now: float) -> list[Action]:
        others = self._servers.spares(branch, now)
        if not others or branch.content in self._rests_until:
            return []
        return self._move(branch, Move(others[0], f"the layout names {present.address} no more"), now)

    def _improve(self, branch: Branch, present: ServerParent, now: float) -> list[Action]:
        content, better = branch.content, self._clearly_better(branch, present, now)
        if better is None:
            self._better.pop(content, None)
            return []
        known = self._better.get(content)
        if known is None or known.server != better.address:
            self._better[content] = _Better(better.address, now)
            return []
        if now - known.since < BETTER_SECONDS or content in self._rests_until:
            return []
        del self._better[content]
        return self._move(branch, Move(better, "it is clearly better"), now)

    def _move(self, branch: Branch, move: Move, now: float) -> list[Action]:
        """Move to another server: the present one is left when both bring media."""
        self._moving[branch.content] = now + MOVE_SECONDS
        self._rests_until[branch.content] = now + REST_SECONDS
        branch.move = move
        return branch.take(Input.LEAVES, Why(now, upstream=branch.primary))

    def _watch(self, branch: Branch, now: float) -> list[Action]:
        """Look whether a move has come to its end, or has to be given up."""
        if not branch.is_moving:
            del self._moving[branch.content]
            branch.move = None
        elif now >= self._moving[branch.content]:
            del self._moving[branch.content]
            return _stay(branch, now)
        return []

    def _clearly_better(self, branch: Branch, present: ServerParent, now: float) -> ServerParent | None:
        measured = self._servers.measurements()
        if present.address not in measured:
            return None
        others = [each for each in self._servers.spares(branch, now) if each.address in measured]
        best = min(others, key=lambda each: measured[each.address].metric, default=None)
        return best if best is not None and _is_clear(measured, best.address, present.address) else None


def _is_clear(measured: Mapping[str, Measurement], better: str, present: str) -> bool:
    gain = measured[present].metric - measured[better].metric
    return gain >= max(LEAST_GAIN_US, LEAST_SHARE * measured[present].metric)


def _stay(branch: Branch, now: float) -> list[Action]:
    """Stay at the present server after all."""
    branch.move = None
    return branch.take(Input.FEEDS, Why(now, upstream=branch.primary))


def _server_of(branch: Branch) -> ServerParent | None:
    """Return the server that feeds a branch, and nothing is wrong with it."""
    if branch.state is not State.FED or branch.primary is None:
        return None
    parent = branch.upstreams[branch.primary].parent
    return parent if isinstance(parent, ServerParent) else None
