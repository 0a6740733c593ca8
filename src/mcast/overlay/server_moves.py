"""When a running stream moves to a better server: only where the layout wishes it (`move_streams`).

A failure moves a stream at once; this is for a server that still works and has become clearly worse than
another one that has the same bytes. "Clearly" is by the metric of server_choice.py, by so much and for so
long that two servers never play ball with a stream:

    LEAST_SHARE and LEAST_GAIN_US better, for BETTER_SECONDS on end, REST_SECONDS after the last move

The better one is asked in addition, and the present one is left when both bring media. If it does not within
MOVE_SECONDS, all stays as it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcast.overlay.actions import Action, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import Why
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

    def on_time(self, branches: Iterable[Branch], now: float) -> list[Action]:
        """Move what has a clearly better server; to be asked ten times a second."""
        self._rests_until = {content: at for content, at in self._rests_until.items() if now < at}
        return [action for branch in branches for action in self._review(branch, now)]

    def _review(self, branch: Branch, now: float) -> list[Action]:
        content = branch.content
        if content in self._moving:
            return self._watch(branch, now)
        better = self._clearly_better(branch, now)
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
        self._moving[content], self._rests_until[content] = now + MOVE_SECONDS, now + REST_SECONDS
        return _move(branch, better, now)

    def _watch(self, branch: Branch, now: float) -> list[Action]:
        """Look whether a move has come to its end, or has to be given up."""
        if branch.better_server is None or branch.state is not State.DOUBTED:
            del self._moving[branch.content]
            branch.better_server = None
        elif now >= self._moving[branch.content]:
            del self._moving[branch.content]
            return _stay(branch, now)
        return []

    def _clearly_better(self, branch: Branch, now: float) -> ServerParent | None:
        if branch.state is not State.FED or branch.primary is None:
            return None
        present, measured = branch.upstreams[branch.primary].parent, self._servers.measurements()
        if not isinstance(present, ServerParent) or present.address not in measured:
            return None
        others = [each for each in self._servers.spares(branch, now) if each.address in measured]
        best = min(others, key=lambda each: measured[each.address].metric, default=None)
        return best if best is not None and _is_clear(measured, best.address, present.address) else None


def _is_clear(measured: Mapping[str, Measurement], better: str, present: str) -> bool:
    gain = measured[present].metric - measured[better].metric
    return gain >= max(LEAST_GAIN_US, LEAST_SHARE * measured[present].metric)


def _move(branch: Branch, server: ServerParent, now: float) -> list[Action]:
    """Move to a server that is better than the present one, which is left when both bring media."""
    assert branch.primary is not None
    branch.better_server, branch.upstreams[branch.primary].leaving = server, True
    return branch.take(Input.LEAVES, Why(now, "it is clearly worse now", upstream=branch.primary))


def _stay(branch: Branch, now: float) -> list[Action]:
    """Stay at the present server after all."""
    assert branch.primary is not None
    branch.better_server, branch.upstreams[branch.primary].leaving = None, False
    return branch.take(Input.FEEDS, Why(now, upstream=branch.primary))
