"""Branches for tests, brought to where a test begins. All are of news, at n1, below n2."""

import itertools
import math
from collections.abc import Callable, Iterable
from random import Random

from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent, Parent
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import GIVE_UP_SECONDS, Departure, Feed
from mcast.overlay.search import Search
from mcast.overlay.table import State
from mcast.wire.identity import Identity
from mcast.wire.node import Port, StopReason
from mcast.wire.position import Position
from overlay.messages import N1, N2, OTHER_VIEWER, R1, R2, RP, VIEWER, port, stream

PARENT, SPARE, NEXT_SPARE = NodeParent("n2"), NodeParent("n3"), NodeParent("n4")
N4, N5 = Identity.node("n4"), Identity.node("n5")
ASKED = stream(R1)
OTHER = stream(R2, sender=OTHER_VIEWER)
RESUMING = stream(R2, sender=N5, resume=Position(7, 40))


def absent(*spares: Parent, me: Identity = N1) -> Branch:
    """Return a branch that has not begun, and these spare parents."""
    return Branch("news", me, itertools.count(1), Random(1), lambda _: list(spares))


def joining(*parents: Parent, spares: Iterable[Parent] = ()) -> Branch:
    """Return a branch at n1 that has asked the first of these parents (upstream 1) for connection 1."""
    branch = absent(*spares)
    branch.on_routed(ASKED, 1, Candidates(parents or [PARENT]), 0.0)
    return branch


def fed(*spares: Parent, **children: int) -> Branch:
    """Return a branch that n2 feeds (upstream 1), with connection 1 as a child, and others."""
    branch = joining(spares=spares)
    branch.on_port(1, port(RP, N2), 0.1)
    branch.on_feed(1, Feed.FED, 0.1)
    for connection in children.values():
        request = bytes([connection]) * 16
        branch.on_asked(stream(request, sender=OTHER_VIEWER), connection, 0.2)
    return branch


def searching() -> Branch:
    """Return a client's branch, whose search has flooded once."""
    branch, search = absent(me=VIEWER), Search(Random(1), 0.0, 10.0)
    branch.on_wanted(stream(bytes(16)), search, GIVE_UP_SECONDS, 0.0)
    search.begin(0.0)
    return branch


def want_two(branch: Branch) -> None:
    """Have a branch want two parents, as somebody watches below."""
    branch.wish.parents, branch.watched_at = 2, math.inf


def pairing(*spares: Parent) -> Branch:
    """Return a branch that wants two parents and has asked the first of these (upstream 2) at 5.0."""
    branch = fed(*(spares or (SPARE,)))
    want_two(branch)
    branch.pairing.on_state(State.JOINING, State.FED, 0.1)
    branch.on_time(5.0)
    return branch


def doubted(*spares: Parent) -> Branch:
    """Return a branch whose parent is suspected at 1.0; the first spare has been asked (upstream 2)."""
    branch = fed(*(spares or (SPARE,)))
    branch.on_feed(1, Feed.SUSPECT, 1.0)
    return branch


def doubled() -> Branch:
    """Return a branch that n2 (upstream 1) and n3 (upstream 2) feed since 1.1."""
    branch = doubted(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 1.05)
    branch.on_feed(2, Feed.FED, 1.1)
    return branch


def cut(*spares: Parent) -> Branch:
    """Return a branch whose parent says at 1.0 that it is cut off."""
    branch = fed(*(spares or (SPARE,)))
    branch.on_feed(1, Feed.CUT, 1.0)
    return branch


def repairing(*spares: Parent) -> Branch:
    """Return a branch whose parent was lost at 1.0; the first spare has been asked (upstream 2)."""
    branch = fed(*(spares or (SPARE,)))
    branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    return branch


def lingering() -> Branch:
    """Return a branch whose last child, a node, was lost at 1.0."""
    branch = fed()
    branch.on_asked(stream(R2, sender=N5), 2, 0.5)
    branch.on_child_gone(1, Departure.UNSUBSCRIBED, 0.9)
    branch.on_child_gone(2, Departure.LOST, 1.0)
    return branch


def handover() -> Branch:
    """Return a branch of a process that leaves at 1.0."""
    branch = fed()
    branch.on_leaving(1.0)
    return branch


def ending() -> Branch:
    """Return a branch whose content is over at 1.0, with number 99."""
    branch = fed()
    branch.on_over(1, 99, "", 1.0)
    return branch


def spare_port(*path: Identity, version: int = 1, **fields: object) -> Port:
    """Return what n3 answers, fed by n4 or by what the path says."""
    return port(*(path or (RP, N4, Identity.node("n3"))), version=version, **fields)  # type: ignore[arg-type]


IN: dict[State, Callable[[], Branch]] = {
    State.ABSENT: absent,
    State.SEARCHING: searching,
    State.JOINING: joining,
    State.FED: fed,
    State.PAIRING: pairing,
    State.DOUBTED: doubted,
    State.DOUBLED: doubled,
    State.CUT: cut,
    State.REPAIRING: repairing,
    State.LINGERING: lingering,
    State.HANDOVER: handover,
    State.ENDING: ending,
}


def events(actions: Iterable[do.Action]) -> list[str]:
    """Return the names of what is said to people."""
    return [action.event for action in actions if isinstance(action, do.Announce)]


def said(actions: Iterable[do.Action], event: str) -> dict[str, object]:
    """Return the fields of the one announcement of an event."""
    (fields,) = [dict(a.fields) for a in actions if isinstance(a, do.Announce) and a.event == event]
    return fields


def ended(actions: Iterable[do.Action]) -> dict[int, tuple[StopReason, int | None]]:
    """Return who is sent away, and why."""
    return {a.connection: (a.stop.reason, a.stop.last) for a in actions if isinstance(a, do.End)}


def left(actions: Iterable[do.Action]) -> list[int]:
    """Return the upstreams that are left."""
    return [action.upstream for action in actions if isinstance(action, do.Leave)]


def asks(actions: Iterable[do.Action]) -> list[str]:
    """Return the parents that are asked."""
    return [str(action.parent) for action in actions if isinstance(action, do.Subscribe)]


def told(actions: Iterable[do.Action]) -> list[tuple[bool, bool, bool]]:
    """Return what each child is told: cut, no way, leaving."""
    return [(a.cut, a.no_way, a.leaving) for a in actions if isinstance(a, do.Update)]


def supplied(actions: Iterable[do.Action]) -> list[do.Supply]:
    """Return what the SRs are to say."""
    return [action for action in actions if isinstance(action, do.Supply)]


def unmeasured(*_: object) -> None:
    """Return how a path is: it is not known."""
