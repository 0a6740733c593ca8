"""Which server a content comes from: a failover is told when another one has been taken, and once."""

import pytest

from mcast.overlay.actions import NodeParent, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import Feed
from mcast.overlay.table import State
from mcast.wire.node import MissReason, StopReason
from overlay.branches import ASKED, absent, events, said
from overlay.effort import TIMEOUT
from overlay.messages import port
from overlay.sim_server import SimContent
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

FIRST, SECOND, THIRD = (ServerParent(f"10.0.6.{number}:7000") for number in (1, 2, 3))


def served(*spares: ServerParent) -> Branch:
    """Return a branch at a rendezvous point that the first server feeds (upstream 1)."""
    branch = absent(*spares)
    branch.on_routed(ASKED, 1, Candidates([FIRST]), 0.0)
    branch.on_port(1, port(), 0.1)
    branch.on_feed(1, Feed.FED, 0.1)
    return branch


def test_a_failover_is_told_when_the_other_server_s_media_comes_and_not_when_it_is_asked() -> None:
    branch = served(SECOND, THIRD)
    asked = branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    refused = branch.on_refused(2, MissReason.GONE, "no", 1.01)
    accepted = branch.on_port(3, port(), 1.02)
    assert {"server_failover", "server_passed_over"}.isdisjoint(events([*asked, *refused, *accepted]))
    taken = branch.on_feed(3, Feed.FED, 1.05)
    assert events(taken) == ["parent_taken", "server_failover", "serves", "fed"]
    assert said(taken, "server_failover") == {
        "content": "news", "server": FIRST.address, "to": THIRD.address, "cause": "cut connection reset",
    }  # fmt: skip


def test_the_server_itself_that_comes_again_is_no_failover() -> None:
    branch = served(FIRST)
    branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    branch.on_port(2, port(), 1.02)
    assert events(branch.on_feed(2, Feed.FED, 1.05)) == ["parent_taken", "serves", "fed"]


def test_a_server_that_hangs_is_told_as_silent() -> None:
    branch = served(SECOND)
    branch.on_feed(1, Feed.SUSPECT, 1.0, 150)
    branch.on_port(2, port(), 1.01)
    branch.on_feed(2, Feed.FED, 1.02, 170)
    actions = branch.on_feed(1, Feed.SILENT, 1.15, 300)
    assert events(actions) == ["parent_lost", "parent_taken", "server_failover", "serves"]
    assert said(actions, "server_failover")["cause"] == "silent"
    assert (said(actions, "parent_lost")["cause"], said(actions, "parent_lost")["after_ms"]) == (
        "silent",
        300,
    )
    assert said(actions, "parent_taken")["gap_ms"] == 170


def test_a_server_that_is_taken_after_another_rendezvous_point_is_still_compared_with_the_last_server() -> (
    None
):
    branch = served(SECOND)
    branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    branch.upstreams[2].parent = NodeParent("rp2")
    branch.on_port(2, port(), 1.02)
    assert events(branch.on_feed(2, Feed.FED, 1.05)) == ["parent_taken", "fed"]
    branch.on_lost(2, StopReason.CUT, "connection reset", 2.0)
    branch.on_port(3, port(), 2.02)
    assert said(branch.on_feed(3, Feed.FED, 2.05), "server_failover")["server"] == FIRST.address
    assert branch.state is State.FED


# Whole overlays


def at_rendezvous(**options: object) -> tuple[Network, str, str]:
    """Return a network in which a viewer watches, its server, and the other one."""
    net = Network([("rp", "n1")], media=True, servers=("s1", "s2"), **options)  # type: ignore[arg-type]
    net.client("n1")
    net.run(2)
    ((_, _, serves),) = net.said("serves")
    active = str(serves["server"])
    (other,) = set(net.servers) - {active}
    return net, active, other


@pytest.mark.parametrize("fails", ["kill", "freeze"])
def test_one_failure_of_a_server_is_one_failover(fails: str) -> None:
    net, active, other = at_rendezvous()
    getattr(net, fails)(active)
    net.run(5)
    ((_, who, told),) = net.said("server_failover")
    assert (who, told["server"], told["to"]) == ("rp", active, other)
    assert [fields["server"] for _, _, fields in net.said("serves")] == [active, other]


def test_another_server_of_a_live_content_is_a_failover_too() -> None:
    net, active, other = at_rendezvous(contents={"news": SimContent(digest=b"")})
    net.kill(active)
    net.run(3)
    ((_, _, told),) = net.said("server_failover")
    assert (told["server"], told["to"]) == (active, other)


def test_no_server_that_refuses_is_ever_said_to_go_on() -> None:
    net, active, other = at_rendezvous()
    net.server(other).refuses = True  # type: ignore[union-attr]
    net.freeze(active)
    net.run(6)
    assert net.said("server_failover") == net.said("server_passed_over") == []
    net.thaw(active)
    net.run(3)
    assert net.said("server_failover") == []
    assert {viewer.state for viewer in net.viewers} == {"watching"}
