"""When a stream cannot go on, viewers get another one of the same content: a break, and not the end."""

from random import Random

import pytest

from mcast.overlay import anew
from mcast.overlay.actions import Accept, BeginAnew, End, Leave, NodeParent, Receive, ServerParent
from mcast.overlay.table import State
from mcast.wire.node import StopReason
from mcast.wire.position import Position
from overlay.branches import RESUMING, fed, repairing, spare_port
from overlay.effort import TIMEOUT, seeds
from overlay.sim_life import graph
from overlay.sim_server import SimContent
from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

LINKS = [("rp", "n1"), ("n1", "n2"), ("n1", "n3"), ("rp", "n3")]
LIVE = {"news": SimContent(digest=b"")}


def watching(*, content: SimContent = LIVE["news"], seed: int = 0, **options: object) -> Network:
    net = Network(LINKS, media=True, seed=seed, contents={"news": content}, servers=("s1", "s2"), **options)  # type: ignore[arg-type]
    for name in ("n1", "n2", "n3"):
        net.client(name)
    net.run(2)
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    return net


def active(net: Network) -> str:
    (name,) = [name for name, server in net.servers.items() if server.streamers]
    return name


def breaks(net: Network) -> list[int]:
    """Return how many streams each viewer has seen; nothing is missing within any of them."""
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    net.settle(5)
    net.check_trees()
    net.check_media()
    return [len(viewer.received) for viewer in net.viewers]


# Whole overlays


@pytest.mark.parametrize("seed", seeds(3))
def test_a_live_content_goes_on_from_now_at_another_server_of_its_name(seed: int) -> None:
    net = watching(seed=seed)
    Watchdog(net)
    net.kill(active(net))
    net.run(2)
    assert breaks(net) == [2, 2, 2]
    assert max(viewer.longest_gap for viewer in net.viewers) < 1
    assert {name for _, name, _ in net.said("begun_anew")} == {node.name for node in net.all_nodes()}


def test_a_live_content_whose_server_hangs_is_left_after_a_second() -> None:
    net = watching()
    hung = active(net)
    net.freeze(hung)
    net.run(1.2)
    assert {len(viewer.received) for viewer in net.viewers} == {1}
    net.run(4)
    assert breaks(net) == [2, 2, 2]
    net.thaw(hung)
    net.run(5)
    assert breaks(net) == [2, 2, 2]
    assert not net.servers[hung].streamers


@pytest.mark.parametrize("seed", [14, 18])  # two of those in which it took longest once
def test_that_another_node_hangs_delays_nobody_who_is_sent_to_a_new_stream(seed: int) -> None:
    random = Random(seed)
    net = Network(graph(random, 10), media=True, servers=("s1", "s2"), seed=seed, contents=LIVE)
    names = sorted(net.nodes)
    for _ in range(8):
        net.client(*random.sample(names, random.choice([1, 2])), after=random.uniform(0, 1))
    net.run(5)
    net.freeze(random.choice([name for name in names if name != "rp" and not net.nodes[name].relays]))
    net.run(8)
    net.freeze(active(net))
    net.run(3)
    assert [len(viewer.received) for viewer in net.viewers] == [2] * 8
    assert max(viewer.longest_gap for viewer in net.viewers) < 2


def test_a_server_with_the_same_bytes_is_taken_before_one_that_has_others() -> None:
    net = watching(content=SimContent())
    net.start_server("s0", {"news": SimContent(digest=bytes(31) + b"1")})
    net.tell_layout("rp")
    net.run(2)
    net.kill(active(net))
    net.run(2)
    assert breaks(net) == [1, 1, 1]


def test_other_bytes_of_the_name_are_better_than_none() -> None:
    net = watching(content=SimContent())
    other = "s2" if active(net) == "s1" else "s1"
    net.kill(other)
    net.start_server(other, {"news": SimContent(digest=bytes(31) + b"1")})
    net.run(1)
    net.kill(active(net))
    net.run(2)
    assert breaks(net) == [2, 2, 2]


def test_an_only_rendezvous_point_that_comes_again_begins_anew_and_viewers_stay() -> None:
    net = watching()
    net.kill("rp")
    net.run(4)  # the server has let go of the stream meanwhile
    net.start("rp")
    net.run(4)
    assert breaks(net) == [2, 2, 2]


# One branch


def test_another_stream_is_not_taken_on_suspicion_nor_while_the_stream_itself_may_come_again() -> None:
    node, server = NodeParent("n9"), ServerParent("10.0.6.10:7000")
    assert not anew.may_begin(fed(), node, 100.0)
    branch = repairing()
    assert branch.trouble.cut_at is not None
    assert not anew.may_begin(branch, node, branch.trouble.cut_at + anew.ANEW_SECONDS - 0.1)
    assert anew.may_begin(branch, node, branch.trouble.cut_at + anew.ANEW_SECONDS)
    assert branch.primary is None
    assert anew.may_begin(branch, server, branch.trouble.cut_at)
    assert not anew.may_begin(branch, node, branch.trouble.cut_at)


def test_a_stream_that_never_brought_media_is_not_followed_by_another_one() -> None:
    branch = repairing()
    branch.has_been_fed = False
    assert not anew.may_begin(branch, ServerParent("10.0.6.10:7000"), 100.0)
    branch.replaced = True
    assert anew.may_begin(branch, NodeParent("n9"), 100.0)


def test_a_parent_that_has_begun_anew_is_believed_at_once_and_asked_first() -> None:
    branch = fed()
    assert branch.primary is not None
    parent = branch.upstreams[branch.primary].parent
    branch.on_lost(branch.primary, StopReason.REPLACED, "", 5.0)
    assert branch.state is State.REPAIRING
    assert parent not in branch.failed
    assert anew.may_begin(branch, parent, 5.0)


def test_children_are_sent_away_to_come_again_and_the_stream_waits_for_them() -> None:
    branch = repairing()
    branch.replaced = True
    actions = branch.on_port(2, spare_port(ssrc=8, position=20), 1.1)
    (end,) = [action for action in actions if isinstance(action, End)]
    assert end.stop.reason is StopReason.REPLACED
    assert actions[-2:] == [BeginAnew("news", Position(8, 20)), Receive(2, "news")]
    assert (branch.state, branch.replaced, branch.discontinuities) == (State.LINGERING, False, 1)
    came = branch.on_asked(RESUMING, 2, 1.2)
    assert ([type(action) for action in came], branch.state) == ([Accept], State.FED)


def test_who_has_another_stream_is_no_parent_as_long_as_the_stream_itself_may_be_had() -> None:
    branch = repairing()
    actions = branch.on_port(2, spare_port(ssrc=8), 1.1)
    assert branch.state is State.REPAIRING
    assert [type(action) for action in actions] == [Leave]
    assert branch.position == Position(7, 0)
