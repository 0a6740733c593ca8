"""A parent that falls silent while this node joins there: others who come know another way."""

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent
from mcast.overlay.candidates import PATIENCE, SPARE_PATIENCE
from mcast.overlay.events import Answered, DiscReceived, Refused, StreamReceived, TimePassed
from mcast.overlay.node_core import NodeCore
from mcast.overlay.table import State
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason
from mcast.wire.position import Position
from overlay.cores import misses, node
from overlay.effort import TIMEOUT, seeds
from overlay.messages import OTHER_VIEWER, R1, R2, R3, disc, found, stream
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

LEFT_AT = Position(7, 40)


def asks(core: NodeCore, request: bytes, neighbour: str, now: float) -> None:
    """Let somebody's question come through a node, and one of its neighbours have a way."""
    core.handle(DiscReceived(2, disc(request, sender=OTHER_VIEWER)), now)
    core.handle(Answered(neighbour, found(request, Identity.node(neighbour))), now)


def comes(core: NodeCore, request: bytes, now: float, resume: Position | None = None) -> list[do.Action]:
    return core.handle(StreamReceived(2, stream(request, sender=OTHER_VIEWER, resume=resume)), now)


def joining(request: bytes = R2) -> NodeCore:
    """Return a node that has asked n2 at 0.0 for a viewer's sake."""
    core = node("n2", "n3")
    core.handle(DiscReceived(1, disc(request)), 0.0)
    core.handle(Answered("n2", found(request)), 0.0)
    core.handle(StreamReceived(1, stream(request)), 0.0)
    assert core.branches["news"].state is State.JOINING
    return core


def asked(core: NodeCore, until: float) -> list[tuple[float, do.Subscribe]]:
    """Let time pass; return who is asked for the stream, and when."""
    times = [step / 100 for step in range(round(until * 100))]
    return [
        (now, action) for now in times for action in core.handle(TimePassed(), now)
        if isinstance(action, do.Subscribe)
    ]  # fmt: skip


def test_who_comes_to_go_on_is_refused_and_the_neighbour_that_he_has_found_is_asked_soon() -> None:
    core = joining()
    asks(core, R3, "n3", 0.01)
    assert misses(comes(core, R3, 0.01, LEFT_AT)) == [MissReason.BUSY]
    ((now, ask),) = asked(core, 1.0)
    assert now == pytest.approx(SPARE_PATIENCE, abs=0.011)
    assert (ask.parent, ask.request, ask.onward) == (NodeParent("n3"), R3, LEFT_AT)
    assert [*core.branches["news"].upstreams] == [1, ask.upstream]  # the silent one may still answer


def test_for_a_newcomer_another_neighbour_is_asked_when_the_first_has_been_silent_for_a_second() -> None:
    core = joining()
    asks(core, R1, "n3", 0.01)
    assert misses(comes(core, R1, 0.01)) == [MissReason.BUSY]
    ((now, ask),) = asked(core, 2.0)
    assert now == pytest.approx(PATIENCE, abs=0.011)
    assert (ask.parent, ask.request, ask.onward) == (NodeParent("n3"), R1, None)


def test_who_waits_behind_the_join_names_nobody_as_ids_fall_along_all_that_wait() -> None:
    core = joining()
    asks(core, R3, "n3", 0.01)
    assert misses(comes(core, R3, 0.01)) == []
    assert asked(core, 2.0) == []


def test_the_one_that_is_asked_already_is_not_asked_twice_nor_is_another() -> None:
    core = joining()
    for request, neighbour in ((R1, "n2"), (b"0" * 16, "n3"), (b"." * 16, "n3")):
        asks(core, request, neighbour, 0.01)
        comes(core, request, 0.01, LEFT_AT)
    assert [ask.parent for _, ask in asked(core, 2.0)] == [NodeParent("n3")]


def test_one_that_refuses_leaves_the_join_as_it_was_and_may_be_named_again() -> None:
    core = joining()
    for request in (R1, R3):
        asks(core, request, "n3", 0.01)
        comes(core, request, 0.01, LEFT_AT)
        ((_, ask),) = asked(core, 1.0)
        assert ask.request == request
        assert misses(core.handle(Refused(ask.upstream, MissReason.BUSY), 1.0)) == []
    assert core.branches["news"].state is State.JOINING


@pytest.mark.parametrize("seed", seeds(4))
def test_a_node_that_joins_where_its_parent_freezes_costs_who_comes_to_go_on_no_number(seed: int) -> None:
    net = Network([("rp", "n6"), ("rp", "n3"), ("n6", "n7"), ("n3", "n7")], media=True, seed=seed)
    viewer = net.client("n6")
    net.run(3)
    viewer.node.set_layout(("n6", "n7"))
    net.run(1)
    for name in ("rp", "n3"):
        net.world.cut(viewer.node.name, name)  # it has been told of them, and cannot reach them
    parents: list[str] = []

    def freeze_parent(_: object) -> None:
        branch = net.branch("n7")
        if branch is not None and branch.state is State.JOINING and not parents:
            parents.extend(str(entry.parent) for entry in branch.upstreams.values())
            net.at(0.0, lambda: net.freeze("n6"))

    net.watchers.append(freeze_parent)
    newcomer = net.client("n7")
    net.run(3)
    assert parents == ["n6"]
    assert {viewer.state, newcomer.state} == {"watching"}
    assert (viewer.lost(), viewer.longest_gap < 0.6) == (0, True)
