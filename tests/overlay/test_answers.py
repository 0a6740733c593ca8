"""A viewer that asks while its node is cut off is told when to ask again, and waits as long as it likes."""

from dataclasses import replace
from random import Random

import pytest

from mcast.overlay.actions import NodeParent, Reply
from mcast.overlay.admission import CUT_RETRY_MS
from mcast.overlay.answers import answer_of
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import GIVE_UP_SECONDS
from mcast.overlay.search import BUSY_PAUSE, Search
from mcast.overlay.table import State
from mcast.wire.node import Miss, MissReason
from overlay.branches import IN, absent, doubted
from overlay.effort import TIMEOUT
from overlay.messages import N1, N2, OTHER_VIEWER, R3, RP, disc, port, stream
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

CUT_OFF = [State.CUT, State.REPAIRING]
LINE = [("rp", "n1"), ("n1", "n2")]


def told(answer: object) -> tuple[MissReason, str, int]:
    assert isinstance(answer, Miss)
    return answer.reason, answer.text, answer.retry_ms


@pytest.mark.parametrize("state", CUT_OFF)
def test_a_node_that_is_cut_off_tells_who_asks_when_to_ask_again(state: State) -> None:
    branch = IN[state]()
    expected = (MissReason.CUT, "n1 is cut off from the source", CUT_RETRY_MS)
    assert told(answer_of(branch, disc(R3))) == expected
    (reply,) = branch.on_asked(stream(R3, sender=OTHER_VIEWER), 9, 1.1)
    assert isinstance(reply, Reply)
    assert told(reply.message) == expected


@pytest.mark.parametrize("state", CUT_OFF)
def test_who_has_asked_along_one_way_alone_is_not_held_up_but_asks_all_others(state: State) -> None:
    answer = answer_of(IN[state](), replace(disc(R3), scoped=True))
    assert told(answer)[2] == 0


def test_a_suspicion_passes_sooner_than_a_told_time_could_be_and_busy_is_asked_again_at_once() -> None:
    branch = doubted()
    assert told(answer_of(branch, disc(R3))) == (MissReason.BUSY, "its parent is suspected", 0)
    search = Search(Random(1), 0.0, 10.0)
    for tries in range(10):
        assert search.begin(float(tries)) is not None
        assert search.on_missed(MissReason.BUSY, "", float(tries)) is None
        assert search.due is not None
        assert search.due - tries <= BUSY_PAUSE[1]


def test_a_parent_that_is_cut_off_by_the_time_it_accepts_is_asked_again_when_it_may_be_fed() -> None:
    branch = asking()
    branch.on_port(1, port(RP, N2, cut=True), 0.3)
    assert (branch.state, branch.search is not None) == (State.SEARCHING, True)
    assert branch.begin_flood(0.3 + CUT_RETRY_MS / 1000 - 0.01) is None
    assert branch.begin_flood(0.3 + CUT_RETRY_MS / 1000) is not None


def asking() -> Branch:
    """Return a client's branch that has asked n2 (upstream 1), which its flood has found."""
    branch, search = absent(), Search(Random(1), 0.0, 10.0)
    branch.on_wanted(stream(bytes(16), sender=N1), search, GIVE_UP_SECONDS, 0.0)
    branch.begin_flood(0.0)
    branch.on_found(Candidates([NodeParent("n2")]), 0.2)
    return branch


# Whole overlays


@pytest.mark.parametrize("fails", ["link", "node"])
@pytest.mark.parametrize("comes", [0.1, 0.25, 0.4, 1.0, 2.0])
def test_a_viewer_that_comes_while_its_node_is_cut_off_joins_as_soon_as_that_is_over(
    fails: str, comes: float
) -> None:
    net = Network(LINE, media=True)
    net.client("n2")
    net.run(2)
    if fails == "link":
        net.world.cut("rp", "n1")
    else:
        net.kill("n1")
    net.run(comes)
    viewer = net.client("n2")
    net.run(4.0 - comes)
    if fails == "link":
        net.world.mend("rp", "n1")
    else:
        net.start("n1")
    back = net.now
    net.run(3)
    assert viewer.state == "watching"
    assert viewer.joined_at is not None
    assert viewer.joined_at < back + 1.5  # it heals within a second, and is asked twice a second


def test_a_viewer_whose_node_stays_cut_off_waits_as_long_as_it_has_said_and_is_told_why() -> None:
    net = Network(LINE, media=True)
    net.client("n2")
    net.run(2)
    net.world.cut("rp", "n1")
    net.run(1)
    viewer, begun = net.client("n2", patience=6.0), net.now
    net.run(5.9)
    assert viewer.state == "waiting"
    net.run(1)
    assert viewer.state == "failed"
    assert viewer.failure is not None
    assert (viewer.failure.reason, viewer.failure.passes) == (MissReason.CUT, True)
    assert viewer.failure.text == "n2 is cut off from the source"
    assert net.now - begun < 7.0
