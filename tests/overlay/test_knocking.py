"""A parent that is the only way falls silent and comes back: it is asked anew until it feeds again."""

from functools import partial
from math import inf

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import Parent, ServerParent, Subscribe
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import (
    Accepted,
    Feed,
    FeedChanged,
    ParentLost,
    ServerListed,
    ServerLost,
    StreamReceived,
    TimePassed,
    Wanted,
)
from mcast.overlay.knocking import FIRST_WAIT, KNOCK_AFTER, KNOCK_SECONDS, LAST_WAIT, LONGEST_KNOCK
from mcast.overlay.table import State
from mcast.wire.node import MissReason, StopReason
from mcast.wire.server import ContentInfo
from overlay import sim_world, simulation
from overlay.branches import ASKED, PARENT, absent, asks, events, fed, left, spare_port
from overlay.cores import SERVERS, rendezvous
from overlay.effort import TIMEOUT
from overlay.messages import N2, RP, port, stream
from overlay.sim_watchdog import Watchdog
from overlay.sim_world import PACE
from overlay.simulation import Network, Viewer

pytestmark = pytest.mark.timeout(TIMEOUT)

SOON = 1.0
"""Seconds from when a link is whole again until a viewer must have media."""
CUT = 1.0
"""When the parents of these branches fall silent."""
FIRST = CUT + KNOCK_AFTER


def silent(feed: Feed = Feed.SILENT) -> Branch:
    """Return a branch of which n2, the only parent (upstream 1), is silent since `CUT`."""
    branch = fed()
    branch.on_feed(1, feed, CUT)
    return branch


def knocked() -> Branch:
    """Return the same, which has just asked n2 anew (upstream 2)."""
    branch = silent()
    assert asks(branch.on_time(FIRST)) == ["n2"]
    return branch


# One branch


@pytest.mark.parametrize("feed", [Feed.SILENT, Feed.REFUSED])
def test_a_silent_parent_is_asked_anew_when_it_may_have_let_this_node_go(feed: Feed) -> None:
    branch = silent(feed)
    assert branch.on_time(FIRST - 0.01) == []
    (asked,) = branch.on_time(FIRST)
    assert isinstance(asked, Subscribe)
    assert (asked.parent, asked.resume) == (PARENT, True)
    assert (branch.state, branch.primary) == (State.REPAIRING, 1)  # nothing is left for it


def test_an_attempt_that_is_not_answered_gives_way_to_another_one() -> None:
    branch, now = knocked(), FIRST
    for attempt in (2, 3, 4):
        assert branch.on_time(now + KNOCK_SECONDS - 0.01) == []
        now += KNOCK_SECONDS
        actions = branch.on_time(now)
        assert (left(actions), asks(actions)) == ([attempt], ["n2"])
        assert len(branch.upstreams) == 2  # never more than one at a time


def test_a_parent_that_is_far_away_has_the_time_that_it_needs() -> None:
    branch = absent()
    branch.on_routed(ASKED, 1, Candidates([PARENT]), 0.0)
    branch.on_port(1, port(RP, N2), 0.7)
    branch.on_feed(1, Feed.FED, 0.7)
    branch.on_feed(1, Feed.SILENT, CUT)
    assert asks(branch.on_time(FIRST)) == ["n2"]
    assert branch.on_time(FIRST + 1.39) == []
    assert asks(branch.on_time(FIRST + 1.4)) == ["n2"]
    branch.upstreams[1].accepted_at = 4.0  # it had to find a way itself at first
    assert asks(branch.on_time(FIRST + 1.4 + 1.4)) == ["n2"]
    assert branch.on_time(FIRST + 2.8 + LONGEST_KNOCK - 0.01) == []
    assert asks(branch.on_time(FIRST + 2.8 + LONGEST_KNOCK)) == ["n2"]


def test_the_parent_that_accepts_is_taken_when_its_media_comes() -> None:
    branch = knocked()
    assert branch.on_port(2, port(RP, N2), FIRST + 0.1) == [do.Receive(2, "news")]
    actions = branch.on_feed(2, Feed.FED, FIRST + 0.2)
    assert left(actions) == [1]
    assert events(actions)[-2:] == ["parent_taken", "fed"]
    assert (branch.state, branch.primary, list(branch.upstreams)) == (State.FED, 2, [2])


def test_the_old_subscription_that_brings_media_first_stays_and_the_attempt_is_left() -> None:
    branch = knocked()
    assert left(branch.on_feed(1, Feed.FED, FIRST + 0.1)) == [2]
    assert (branch.state, branch.primary, list(branch.upstreams)) == (State.FED, 1, [1])


@pytest.mark.parametrize("reason", [MissReason.CUT, MissReason.BUSY])
def test_a_parent_that_cannot_help_yet_is_asked_again_a_moment_later(reason: MissReason) -> None:
    branch = knocked()
    assert left(branch.on_refused(2, reason, "", FIRST + 0.1)) == [2]
    assert (branch.state, branch.primary) == (State.REPAIRING, 1)
    assert branch.on_time(FIRST + 0.1 + KNOCK_SECONDS - 0.01) == []
    assert asks(branch.on_time(FIRST + 0.1 + KNOCK_SECONDS)) == ["n2"]


def test_a_parent_that_lives_and_streams_it_no_more_is_lost_and_may_be_found_by_a_flood_at_once() -> None:
    branch = knocked()
    assert branch.begin_flood(FIRST) is not None  # under way, over the dead link
    assert branch.begin_flood(FIRST + 0.1) is None
    assert "parent_lost" in events(branch.on_refused(2, MissReason.GONE, "not here", FIRST + 0.1))
    assert (branch.state, branch.primary, branch.upstreams) == (State.REPAIRING, None, {})
    assert branch.excluded == branch.helpless == ()
    assert branch.begin_flood(FIRST + 0.1) is not None


def test_the_word_that_the_lease_is_over_says_that_the_link_carries_again() -> None:
    branch = silent()
    assert branch.begin_flood(CUT + 1.0) is not None
    branch.on_lost(1, StopReason.LEASE, "", 4.0)
    assert branch.helpless == ()
    assert branch.begin_flood(4.0) is not None


def test_the_same_word_from_a_parent_that_fed_until_then_is_a_loss_as_any_other() -> None:
    branch = fed()
    branch.on_lost(1, StopReason.LEASE, "", 4.0)
    assert branch.helpless == (N2,)


def test_where_only_tcp_comes_through_the_parent_is_asked_more_and_more_rarely() -> None:
    branch, waits, now = fed(), [], FIRST
    branch.give_up = 60.0
    branch.on_feed(1, Feed.SILENT, CUT)
    branch.on_time(now)
    for attempt in range(2, 7):
        branch.on_port(attempt, port(RP, N2), now)
        assert branch.on_time(now + 0.9) == []  # it has accepted: nobody else is asked beside it
        assert left(branch.on_feed(attempt, Feed.SILENT, now + 1.0)) == [attempt]
        waits.append(branch.knocking.due - now - 1.0)
        now = branch.knocking.due
        assert asks(branch.on_time(now)) == ["n2"]
    assert waits == [FIRST_WAIT, 2.0, 4.0, LAST_WAIT, LAST_WAIT]


def test_a_parent_that_says_that_it_is_cut_off_is_not_asked_anew() -> None:
    branch = fed()
    branch.on_feed(1, Feed.NO_WAY, CUT)
    assert branch.state is State.REPAIRING
    assert branch.on_time(FIRST + 5.0) == []


def test_nobody_is_asked_anew_while_another_parent_has_accepted() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, CUT)
    assert branch.search is not None
    branch.begin_flood(CUT + 0.1)
    branch.on_found(Candidates([do.NodeParent("n3")]), CUT + 0.2)
    branch.on_port(2, spare_port(), CUT + 0.3)
    assert branch.on_time(FIRST + 0.1) == []


# A whole node


def test_a_server_that_is_listed_again_is_asked_at_once() -> None:
    listed = ServerListed(SERVERS[0], (ContentInfo("news", digest=bytes(32)),))
    core = rendezvous()
    core.handle(listed, 0.0)
    core.handle(StreamReceived(1, stream()), 0.1)
    core.handle(Accepted(1, port()), 0.2)
    core.handle(FeedChanged(1, Feed.FED), 0.3)
    core.handle(ServerLost(SERVERS[0], "reset"), 1.0)
    core.handle(ParentLost(1, "reset"), 1.0)
    now = 1.0
    while now < 4.0:
        now += 0.1
        assert not asked(core.handle(TimePassed(), now))
    assert core.branches["news"].search is not None
    core.branches["news"].search.on_missed(MissReason.CUT, "", now)  # a long pause is to come
    assert asked(core.handle(listed, now)) == [ServerParent(SERVERS[0], bytes(32))]
    assert asked(core.handle(listed, now + 0.1)) == []  # that is no news


def asked(actions: list[do.Action]) -> list[Parent]:
    return [action.parent for action in actions if isinstance(action, Subscribe)]


# Whole overlays

CHAIN = [("rp", "n1"), ("n1", "n2"), ("n2", "n3")]
ONLY_WAYS = {"rp": ("rp", "n1"), "a node that streams it no more": ("n1", "n2"), "a server": ("rp", "s1")}
"""What a viewer at n3 has no other way than, by what is at its upper end."""


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no silence of TCP end a connection: subscriptions are calm."""
    for timeout in ("USER_TIMEOUT", "KEEPALIVE_TIMEOUT"):
        monkeypatch.setattr(sim_world, timeout, inf)


def watching(links: list[tuple[str, str]], at: str) -> tuple[Network, Viewer]:
    net = Network(links, media=True, records=True)
    viewer = net.client(at)
    net.run(2)
    assert viewer.state == "watching"
    return net, viewer


def cut_for(net: Network, seconds: float, *ends: tuple[str, str]) -> None:
    """Let nothing through for a while, and then on the first way alone for a little."""
    for one, other in ends:
        net.world.cut(one, other)
    net.run(seconds)
    net.world.mend(*ends[0])
    net.run(3)
    for one, other in ends:
        net.world.mend(one, other)


def is_well(net: Network, viewer: Viewer, away: float) -> None:
    assert viewer.state == "watching"
    assert net.said("begun_anew") == []
    net.settle(70)  # what TCP still carries was sent long ago
    net.check_trees()
    net.check_media(lost=round(away / PACE))  # what was due meanwhile may be older than what relays keep


@pytest.mark.parametrize("way", ONLY_WAYS)
@pytest.mark.parametrize("seconds", [3.0, 6.0, 9.0])
def test_the_only_way_that_was_away_for_longer_than_a_lease_feeds_within_a_second_of_its_return(
    way: str, seconds: float
) -> None:
    net, viewer = watching(CHAIN, "n3")
    Watchdog(net, fed_seconds=inf)  # loops and copies; it knows of no ways to servers
    cut_for(net, seconds, ONLY_WAYS[way])
    assert viewer.longest_gap < seconds + SOON
    is_well(net, viewer, seconds)


@pytest.mark.parametrize("seconds", [6.0, 16.0, 30.0])
def test_a_patient_viewer_that_reaches_one_node_alone_goes_on_within_a_second_of_its_link_s_return(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "Wanted", partial(Wanted, give_up=60.0))
    net, viewer = watching([("rp", "n1")], "n1")
    cut_for(net, seconds, (viewer.node.name, "n1"), (viewer.node.name, "rp"))
    assert viewer.longest_gap < seconds + SOON
    is_well(net, viewer, seconds)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0, 9.0])
@pytest.mark.parametrize("frozen", ["n1", "rp", "s1"])
def test_the_only_way_that_freezes_feeds_as_soon_as_it_goes_on_and_once(frozen: str, seconds: float) -> None:
    net, viewer = watching(CHAIN, "n3")
    net.freeze(frozen)
    net.run(seconds)
    net.thaw(frozen)
    net.run(3)
    assert viewer.longest_gap < seconds + SOON
    assert len(net.said("parent_taken")) <= 2  # below it, and above it, and not again and again
    is_well(net, viewer, seconds)
