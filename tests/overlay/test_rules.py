"""The rules of healing, each by what it forbids: docs/architecture.md, "Rules that close the holes"."""

from itertools import pairwise

from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent
from mcast.overlay.events import Departure, Feed
from mcast.overlay.table import State
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, StopReason
from overlay.branches import (
    RESUMING,
    SPARE,
    asks,
    doubled,
    doubted,
    fed,
    joining,
    left,
    lingering,
    spare_port,
    told,
    unmeasured,
)
from overlay.cores import misses
from overlay.messages import N1, N3, R2, RP, stream
from overlay.sim_server import LINGER, SimContent
from overlay.simulation import Network

CHAIN = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "n4")]
DIAMOND = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]


def watched(links: list[tuple[str, str]], *neighbours: str, **options: object) -> Network:
    net = Network(links, media=True, records=True, **options)  # type: ignore[arg-type]
    for name in neighbours:
        net.client(name)
    net.run(2)
    return net


def feeds(net: Network, name: str) -> list[Feed]:
    node = net.nodes[name]
    return [event.feed for _, event, _ in node.steps if hasattr(event, "feed")]


def test_suspicion_does_not_cascade() -> None:
    """Only the topmost node that sees silence suspects: those below hear SRs, and then that it is cut off."""
    net = watched(CHAIN, "n4")
    net.world.cut("rp", "n1")
    net.run(2)
    assert Feed.SUSPECT in feeds(net, "n1")
    for name in ("n2", "n3", "n4"):
        assert Feed.SUSPECT not in feeds(net, name)
        assert Feed.SILENT not in feeds(net, name)


def test_a_node_that_was_frozen_suspects_no_parent_when_it_wakes() -> None:
    net = watched(CHAIN, "n4")
    net.freeze("n3")
    net.run(0.6)
    net.thaw("n3")
    net.run(1)
    assert not {Feed.SUSPECT, Feed.SILENT} & set(feeds(net, "n3"))


def test_loss_alone_makes_no_node_of_a_chain_change_its_parent() -> None:
    net = watched(CHAIN, "n4")
    net.world.media_loss = 0.2
    net.run(5)
    assert net.said("parent_lost") == net.said("parent_taken") == []


def test_of_two_upstreams_the_children_hear_the_path_of_the_primary_alone() -> None:
    """The children hear of the primary's path alone, and of another when that one becomes the primary."""
    branch = doubted()
    actions = branch.on_port(2, spare_port(), 1.05)
    actions += branch.on_feed(2, Feed.FED, 1.1)
    actions += branch.on_port(2, spare_port(RP, N3, version=2), 1.2)
    assert told(actions) == []
    assert told(branch.on_outdone(1, 3.1, unmeasured)) == [(False, False, False)]
    assert branch.path == (RP, N3, N1)


def test_a_ring_notices_that_it_starves() -> None:
    """Two that have each other for a second parent bring each other nothing new, and notice."""
    net = watched([("rp", "n1"), ("rp", "n2"), ("n1", "n2")], "n1", "n2", parents=2)
    net.run(10)
    for name, other in (("n1", "n2"), ("n2", "n1")):
        branch = net.branch(name)
        assert branch is not None
        assert (branch.state, branch.path) == (State.DOUBLED, (RP, Identity.node(name)))
        assert NodeParent(other) in [entry.parent for entry in branch.upstreams.values()]
    for name in ("n1", "n2", "c1", "c2"):
        net.world.cut("rp", name)
    net.run(3)
    for name in ("n1", "n2"):
        branch = net.branch(name)
        assert branch is not None
        assert branch.state in (State.CUT, State.REPAIRING)


def test_of_two_upstreams_by_one_uplink_the_worse_is_left() -> None:
    branch = doubled()
    assert left(branch.on_outdone(2, 3.1, unmeasured)) == [2]
    assert branch.state is State.FED


def test_mutual_spares_never_wait_for_each_other() -> None:
    """Who suspects or repairs answers who comes to resume at once: cut off. Who joins: come again."""
    for branch in (doubted(), fed()):
        if branch.state is State.FED:
            branch.on_lost(1, StopReason.CUT, "reset", 1.0)
        assert misses(branch.on_asked(RESUMING, 2, 1.1)) == [MissReason.CUT]
    assert misses(joining().on_asked(RESUMING, 2, 0.1)) == [MissReason.BUSY]


def test_who_resumes_goes_on_at_the_lowest_number_still_wanted() -> None:
    net = watched(DIAMOND, "n1", "n2")
    net.client("n3")
    net.run(2)
    branch = net.branch("n3")
    assert branch is not None
    first = str(branch.path[-2])
    net.world.link(first, "n3").media_is_down = True
    net.run(0.1)  # a hole, and then the parent dies before it is repaired
    net.world.link(first, "n3").media_is_down = False
    net.run(0.02)
    net.kill(first)
    net.run(1)
    (*_, viewer) = net.viewers
    assert (viewer.state, viewer.lost()) == ("watching", 0)
    (ask,) = [
        a
        for _, _, actions in net.nodes["n3"].steps
        for a in actions
        if isinstance(a, do.Subscribe) and a.resume
    ]
    assert ask.parent == NodeParent("n2" if first == "n1" else "n1")


def test_a_stream_outlives_the_loss_of_its_last_taker() -> None:
    assert lingering().state is State.LINGERING
    branch = fed()
    branch.on_asked(stream(R2, sender=N3), 2, 0.5)
    branch.on_child_gone(1, Departure.UNSUBSCRIBED, 0.6)
    branch.on_child_gone(2, Departure.UNSUBSCRIBED, 0.7)
    assert branch.state is State.ABSENT
    net = watched([("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")], "n3")
    net.run(1)
    branch_at_n3 = net.branch("n3")
    assert branch_at_n3 is not None
    net.kill(str(branch_at_n3.path[1]))
    net.run(LINGER - 0.5)
    (viewer,) = net.viewers
    assert (viewer.lost(), len(viewer.received)) == (0, 1), "the same stream, taken over"


def test_the_timeline_survives_a_server() -> None:
    net = watched([("rp", "n1")], "n1", servers=("s1", "s2"))
    ((_, _, fields),) = net.said("serves")
    net.kill(str(fields["server"]))
    net.run(3)
    (viewer,) = net.viewers
    ((ssrc, numbers),) = viewer.received.items()
    behind = net.now - net.timeline_of(ssrc).due(numbers.next - 1)
    assert (viewer.lost(), behind < 0.2) == (0, True)


def test_any_rendezvous_point_joins_a_stream_that_runs_whatever_its_own_head_is() -> None:
    net = watched([("rp", "n1"), ("rp2", "n2")], "n1", servers=("s1", "s2"), rendezvous=("rp", "rp2"))
    net.world.cut("rp", "rp2")
    net.run(20)  # they cannot see each other, and both serve
    net.client("n2")
    net.run(2)
    assert {ssrc for viewer in net.viewers for ssrc in viewer.received} == {1}
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp", "rp2"}


def test_who_stands_behind_a_living_rendezvous_point_begins_a_stream_as_the_last_resort_alone() -> None:
    for links, root in ([("rp2", "n2"), ("rp2", "n1"), ("rp", "n1")], "rp"), ([("rp2", "n2")], "rp2"):
        net = watched(links, rendezvous=("rp", "rp2"))
        viewer = net.client("n2")
        net.run(3)
        assert (viewer.state, str(viewer.path[0])) == ("watching", root)
        assert not net.nodes["rp2"].core.serves


def test_who_stands_behind_a_living_rendezvous_point_says_no_absent() -> None:
    net = watched([("rp2", "n2"), ("rp", "n1")], rendezvous=("rp", "rp2"))
    viewer = net.client("n2", content="films", patience=1)
    net.run(8)
    assert viewer.failure is not None
    assert viewer.failure.reason is not MissReason.ABSENT
    assert not any(server.streamers for server in net.servers.values())


def test_another_stream_on_resume_is_a_break_and_viewers_stay() -> None:
    net = watched([("rp", "n1")], "n1")
    net.kill("rp")
    net.run(4)
    net.kill("s1")
    net.start_server("s1", {"news": SimContent(digest=bytes(31) + b"2")})
    net.start("rp")
    net.run(4)
    (viewer,) = net.viewers
    assert (viewer.state, len(viewer.received), viewer.lost()) == ("watching", 2, 0)


def test_neighbours_learned_from_a_parent_are_asked_when_the_own_ones_have_failed_only() -> None:
    net = watched([*DIAMOND, ("n1", "n2")], "n1")
    net.run(3)
    (viewer,) = net.viewers
    net.kill("n1")
    net.run(2)
    asked = [(at, action.neighbour) for at, _, actions in viewer.node.steps for action in actions
                       if isinstance(action, do.Ask)]  # fmt: skip
    assert {name for at, name in asked if at < 7} == {"n1"}
    assert {name for at, name in asked if at > 7} - {"n1"}
    assert (viewer.state, viewer.lost()) == ("watching", 0)


def test_announcements_tell_changes_only() -> None:
    net = watched(DIAMOND, "n3")
    net.run(2)
    before = sum(node.news for node in net.everybody())
    net.run(20)
    assert sum(node.news for node in net.everybody()) == before


def test_a_cut_is_told_once_on_each_link_however_long_the_path_is() -> None:
    names = ["rp", *(f"n{number}" for number in range(1, 10))]
    net = watched([*pairwise(names)], "n9")
    net.run(2)
    net.world.cut("rp", "n1", control=False)
    net.run(2)
    net.world.mend("rp", "n1")
    net.run(3)
    steps = {name: [act for _, _, actions in net.nodes[name].steps for act in actions] for name in names[1:]}
    told = [sum(isinstance(act, do.Update) for act in actions) for actions in steps.values()]
    assert max(told) <= 3, f"cut, no way, fed again: {told}"


def test_a_connection_that_ends_ends_at_once_and_only_silence_is_overruled_by_media() -> None:
    branch = fed(SPARE)
    branch.on_feed(1, Feed.FED, 0.99)
    assert asks(branch.on_lost(1, StopReason.CUT, "reset", 1.0)) == ["n3"]
    net = watched(CHAIN, "n4")
    net.world.cut("n1", "n2", media=False)
    net.run(5)
    assert net.said("parent_lost") == []
