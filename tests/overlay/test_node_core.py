"""The decisions of a node, all together: every event goes to the part that it concerns."""

from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay import room
from mcast.overlay.actions import LOCAL, NodeParent, ServerParent
from mcast.overlay.discovery import REQUEST_TTL
from mcast.overlay.events import (
    Accepted,
    Advertised,
    Answered,
    ConnectionGone,
    Departure,
    DiscReceived,
    Drained,
    Event,
    Feed,
    FeedChanged,
    LayoutChanged,
    Leaving,
    ParentLost,
    Refused,
    RoundTripMeasured,
    ServerListed,
    ServerLost,
    ServerMeasured,
    Stopped,
    StreamReceived,
    TimePassed,
    Unasked,
    Unwanted,
    Wanted,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.search import MAX_TRIES, UNREACHABLE_PAUSE
from mcast.overlay.servers import BENEFIT_OF_DOUBT
from mcast.overlay.table import State
from mcast.overlay.transitions import DRAIN_SECONDS, HANDOVER_SECONDS, JOIN_SECONDS
from mcast.wire.identity import Identity
from mcast.wire.node import Found, Miss, MissReason, Start, StopReason
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.server import ContentInfo, Readiness
from overlay.cores import (
    SERVERS,
    add_viewer,
    asked,
    fed_node,
    misses,
    node,
    rendezvous,
    without_announcements,
)
from overlay.messages import N1, N2, N3, OTHER_VIEWER, R1, R2, R3, RP, VIEWER, disc, found, miss, port, stream


def client(*neighbours: str) -> NodeCore:
    """Return a client's core, which knows these neighbours."""
    core = NodeCore(VIEWER, Random(1))
    core.handle(LayoutChanged(neighbours), 0.0)
    return core


def request_of(actions: list[do.Action]) -> bytes:
    (request,) = {action.disc.request for action in actions if isinstance(action, do.Ask)}
    return request


def joined_client() -> NodeCore:
    """Return a client that takes news from n1 (upstream 1)."""
    core = client("n1")
    request = request_of(core.handle(Wanted("news", 10.0), 0.0))
    core.handle(Answered("n1", found(request)), 0.1)
    core.handle(Accepted(1, port(RP, N1)), 0.2)
    return core


# What a node answers to DISC


def test_a_node_that_feeds_a_content_says_found_itself() -> None:
    reply, _ = fed_node().handle(DiscReceived(2, disc(R2, sender=OTHER_VIEWER)), 1.0)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Found)
    assert reply.message.sender == N1


def test_a_node_that_does_not_hands_the_request_on() -> None:
    core = node("rp", "n2", me=N1)
    assert set(asked(core.handle(DiscReceived(1, disc()), 0.0))) == {"rp", "n2"}
    actions = core.handle(Answered("rp", found()), 0.1)
    assert do.CancelAsks(R1, ("n2",)) in actions


def test_who_is_on_the_path_himself_is_told_so_also_when_others_ask_for_him() -> None:
    core = fed_node(RP, N3)
    assert misses(core.handle(DiscReceived(2, disc(R2, sender=N3)), 1.0)) == [MissReason.LOOP]
    assert misses(core.handle(DiscReceived(2, disc(R3, sender=N2, origin=N3)), 1.0)) == [MissReason.LOOP]


def test_below_an_excluded_parent_the_others_are_asked_first_and_the_node_is_the_second_choice() -> None:
    core = fed_node(RP)
    request = disc(R2, sender=OTHER_VIEWER, excluded=(RP,))
    assert set(asked(core.handle(DiscReceived(2, request), 1.0))) == {"n2"}
    (reply,) = core.handle(Answered("n2", miss(MissReason.ABSENT, R2)), 1.1)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Found)
    assert reply.message.sender == N1


def test_beside_an_excluded_parent_the_node_is_as_good_as_any() -> None:
    request = disc(R2, sender=OTHER_VIEWER, excluded=(N3,))
    reply, _ = fed_node(RP).handle(DiscReceived(2, request), 1.0)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Found)


def test_a_node_that_is_cut_off_offers_nothing() -> None:
    core = fed_node()
    core.handle(FeedChanged(1, Feed.SILENT), 1.0)
    assert misses(core.handle(DiscReceived(2, disc(R2)), 1.1)) == [MissReason.CUT]


def test_a_viewer_that_asks_while_a_content_ends_is_never_taken_in_and_then_sent_away() -> None:
    core = fed_node()
    core.handle(Stopped(1, StopReason.END, 99), 1.0)
    assert misses(core.handle(DiscReceived(2, disc(R2, sender=OTHER_VIEWER)), 1.1)) == [MissReason.GONE]
    assert misses(add_viewer(core, 3, 1.2)) == [MissReason.GONE]
    actions = core.handle(Drained("news", (1,)), 1.3)
    assert [action.connection for action in actions if isinstance(action, do.End)] == [1]
    assert core.is_idle


def test_one_mute_child_delays_nobody_s_end() -> None:
    core = fed_node()
    add_viewer(core, 2, 0.5)
    core.handle(Stopped(1, StopReason.END, 99), 1.0)
    (end,) = core.handle(Drained("news", (2,)), 1.05)
    assert isinstance(end, do.End)
    assert (end.connection, end.stop.reason, end.stop.last) == (2, StopReason.END, 99)
    actions = core.handle(TimePassed(), 1.0 + DRAIN_SECONDS)
    assert [action.connection for action in actions if isinstance(action, do.End)] == [1]


def test_absent_is_said_by_the_rendezvous_point_alone_and_only_when_it_is_sure() -> None:
    core = rendezvous("news", servers=())
    core.handle(LayoutChanged((), SERVERS[:2]), 0.0)
    core.handle(ServerListed(SERVERS[0], (ContentInfo("news"),)), 0.0)
    assert misses(core.handle(DiscReceived(1, disc(R1, "films")), 0.1)) == [MissReason.CUT]
    assert misses(core.handle(DiscReceived(1, disc(R2, "films")), BENEFIT_OF_DOUBT)) == [MissReason.ABSENT]


def test_the_rendezvous_point_finds_what_a_server_lists_until_that_is_lost() -> None:
    core = rendezvous("news")
    (reply,) = core.handle(DiscReceived(1, disc()), 0.0)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Found)
    core.handle(ServerLost(SERVERS[0], "no answer"), 1.0)
    assert misses(core.handle(DiscReceived(1, disc(R2)), 1.0)) == [MissReason.ABSENT]


def test_a_nearer_neighbour_is_given_more_time() -> None:
    core = node("rp", n2=300.0)
    assert asked(core.handle(DiscReceived(1, disc(remaining_ms=1000)), 0.0)) == {"rp": 900, "n2": 400}
    core.handle(RoundTripMeasured("n2", 1.0), 1.0)
    core.handle(RoundTripMeasured("a stranger", 1.0), 1.0)
    assert asked(core.handle(DiscReceived(1, disc(R2, remaining_ms=1000)), 1.0)) == {"rp": 900, "n2": 900}


def test_a_new_layout_keeps_what_was_measured_of_those_that_stay() -> None:
    core = node("rp", n2=300.0)
    core.handle(LayoutChanged(("n2", "n3")), 1.0)
    assert asked(core.handle(DiscReceived(1, disc(remaining_ms=1000)), 1.0)) == {"n2": 400, "n3": 900}


def test_a_flood_whose_asker_hangs_up_is_cancelled() -> None:
    core = node("rp")
    core.handle(DiscReceived(1, disc()), 0.0)
    assert core.handle(ConnectionGone(1, Departure.LOST), 0.1) == [do.CancelAsks(R1, ("rp",))]
    assert core.is_idle


def test_a_flood_ends_with_its_time() -> None:
    core = node("rp")
    core.handle(DiscReceived(1, disc()), 0.0)
    assert misses(core.handle(TimePassed(), 4.0)) == [MissReason.DEADLINE]


# What a node does with STREAM


def test_stream_goes_where_found_came_from() -> None:
    core = node("rp", "n2")
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("n2", found()), 0.1)
    assert core.handle(StreamReceived(1, stream()), 0.2) == [do.Subscribe(1, "news", R1, NodeParent("n2"), 1)]


def test_a_stream_that_nobody_has_found_is_told_to_discover_again() -> None:
    assert misses(node("rp").handle(StreamReceived(1, stream()), 0.0)) == [MissReason.GONE]


def test_a_positive_entry_counts_only_for_its_time_and_while_its_neighbour_is_one() -> None:
    late, moved = node("rp"), node("rp")
    for core in (late, moved):
        core.handle(DiscReceived(1, disc()), 0.0)
        core.handle(Answered("rp", found()), 0.1)
    assert misses(late.handle(StreamReceived(1, stream()), REQUEST_TTL + 0.2)) == [MissReason.GONE]
    moved.handle(LayoutChanged(("n2",)), 0.2)
    assert misses(moved.handle(StreamReceived(1, stream()), 0.3)) == [MissReason.GONE]


def test_the_rendezvous_point_asks_the_best_server_and_says_why() -> None:
    core = rendezvous("news", servers=SERVERS[:2])
    core.handle(ServerMeasured(SERVERS[0], 900), 0.0)
    core.handle(ServerMeasured(SERVERS[1], 500), 0.0)
    first, second, ask = core.handle(StreamReceived(1, stream(sender=N1)), 1.0)
    assert [dict(a.fields)["server"] for a in (first, second) if isinstance(a, do.Announce)] == [
        SERVERS[1],
        SERVERS[0],
    ]
    assert ask == do.Subscribe(1, "news", R1, ServerParent(SERVERS[1]), 1)


def test_behind_three_hung_servers_the_healthy_one_is_asked_in_time() -> None:
    core = rendezvous("news", servers=SERVERS)
    core.handle(StreamReceived(1, stream(sender=N1)), 0.0)
    asked_at = []
    for tenth in range(1, 46):
        actions = core.handle(TimePassed(), tenth / 10)
        asked_at += [tenth / 10 for action in actions if isinstance(action, do.Subscribe)]
        if tenth == 32:
            actions = core.handle(Accepted(4, port()), 3.25)
            assert [a for a in actions if isinstance(a, do.Accept)] == [
                do.Accept(1, stream(sender=N1), (RP,), 1)
            ]
    assert asked_at == [0.9, 1.8, 2.7]  # looked at ten times a second


def servers_asked(actions: list[do.Action]) -> list[str]:
    return [
        action.parent.address
        for action in actions
        if isinstance(action, do.Subscribe) and isinstance(action.parent, do.ServerParent)
    ]


@pytest.mark.parametrize(
    "answer",
    [ServerMeasured(SERVERS[0], 100), ServerListed(SERVERS[0], (ContentInfo("songs"),))],
    ids=["PING", "list"],
)
def test_a_server_that_has_said_nothing_is_asked_last_by_who_joins_next_until_it_answers(
    answer: Event,
) -> None:
    core = rendezvous("news", "films", "songs", servers=SERVERS[:3])
    for server, delay_us in zip(SERVERS[:3], (100, 500, 900), strict=True):
        core.handle(ServerMeasured(server, delay_us), 0.0)
    hung, good, _ = SERVERS[:3]
    assert servers_asked(core.handle(StreamReceived(1, stream()), 0.0)) == [hung]
    assert servers_asked(core.handle(TimePassed(), 1.0)) == [good]
    core.handle(Accepted(2, port()), 1.1)
    (second,) = servers_asked(core.handle(StreamReceived(2, stream(R2, "films")), 1.2))
    assert second == good
    core.handle(Accepted(3, port(content="films")), 1.3)
    core.handle(answer, 1.4)
    assert servers_asked(core.handle(StreamReceived(3, stream(b"3" * 16, "songs")), 1.5)) == [hung]


def test_a_content_that_no_server_has_any_more_is_gone() -> None:
    core = rendezvous("news")
    core.handle(ServerListed(SERVERS[0], ()), 0.1)
    assert misses(core.handle(StreamReceived(1, stream()), 0.2)) == [MissReason.GONE]


def test_an_upstream_that_never_answers_is_given_up() -> None:
    core = node("rp")
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("rp", found()), 0.1)
    core.handle(StreamReceived(1, stream()), 0.2)
    assert core.handle(TimePassed(), 0.2 + JOIN_SECONDS - 0.1) == []
    assert misses(core.handle(TimePassed(), 0.2 + JOIN_SECONDS)) == [MissReason.DEADLINE]
    assert core.is_idle


def test_each_subscription_has_a_number_of_its_own() -> None:
    core = rendezvous("news", "films")
    core.handle(StreamReceived(1, stream()), 0.0)
    actions = core.handle(StreamReceived(2, stream(R2, "films")), 0.0)
    assert [action.upstream for action in actions if isinstance(action, do.Subscribe)] == [2]


def test_what_is_told_of_an_upstream_that_was_left_means_nothing() -> None:
    core = fed_node()
    core.handle(ConnectionGone(1, Departure.UNSUBSCRIBED), 1.0)
    late: list[Event] = [
        Accepted(1, port(RP)),
        Refused(1, MissReason.FULL),
        Stopped(1, StopReason.END, 9),
        ParentLost(1, "closed"),
        FeedChanged(1, Feed.FED),
        Drained("news", (1,)),
    ]
    assert [core.handle(event, 1.1) for event in late] == [[]] * len(late)


def test_every_way_to_lose_a_parent_begins_a_repair() -> None:
    for event in (ParentLost(1, "reset"), Stopped(1, StopReason.LEAVING), Stopped(1, StopReason.END, None)):
        core = fed_node()
        actions = without_announcements(core.handle(event, 1.0))
        done = [do.Leave, do.Supply, do.Update, do.Introduce, do.Advertise]
        assert [type(a) for a in actions] == done, event
        assert core.branches["news"].state is State.REPAIRING
        assert core.due is not None
        assert set(asked(core.handle(TimePassed(), core.due))) == {"n2"}, "rp has just been lost"


def test_the_last_child_that_leaves_prunes_the_stream() -> None:
    core = fed_node()
    add_viewer(core, 2, 0.5)
    dismissed, _ = core.handle(ConnectionGone(1, Departure.LOST), 1.0)
    assert dismissed == do.Dismiss(1, "news")
    assert core.handle(ConnectionGone(2, Departure.UNSUBSCRIBED), 1.1) == [
        do.Dismiss(2, "news"),
        do.Leave(1, "news", StopReason.UNSUBSCRIBE),
        do.CloseRelay("news"),
        do.Introduce(None),
        do.Advertise("news", (), False),
    ]
    assert (core.is_idle, dict(core.branches)) == (True, {})


def test_a_content_beyond_the_most_is_refused_as_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_CONTENTS", 2)
    core = rendezvous("a", "b", "c")
    core.handle(StreamReceived(1, stream(R1, "a")), 0.0)
    core.handle(StreamReceived(2, stream(R2, "b")), 0.0)
    assert misses(core.handle(StreamReceived(3, stream(R3, "c")), 0.0)) == [MissReason.FULL]


def test_a_node_that_leaves_tells_its_children_and_ends_when_the_last_has_gone() -> None:
    core = fed_node()
    assert core.handle(Leaving(), 1.0) == [
        do.Introduce(1, leaving=True),
        do.Update(1, "news", (RP, N1), 2, cut=False, leaving=True),
        do.Advertise("news", (RP, N1), False, viewers=1),
    ]
    assert misses(core.handle(DiscReceived(2, disc(R2)), 1.1)) == [MissReason.GONE]
    assert misses(add_viewer(core, 3, 1.1)) == [MissReason.GONE]
    assert misses(core.handle(StreamReceived(3, stream(R3, "films")), 1.1)) == [MissReason.GONE]
    assert not core.is_idle
    actions = core.handle(ConnectionGone(1, Departure.UNSUBSCRIBED), 1.2)
    assert do.Leave(1, "news", StopReason.LEAVING) in actions
    assert core.is_idle


def test_a_node_that_leaves_sends_away_who_has_not_gone_when_its_time_is_over() -> None:
    core = fed_node()
    core.handle(Leaving(), 1.0)
    assert core.due == 1.0 + HANDOVER_SECONDS
    (end, *_) = core.handle(TimePassed(), core.due)
    assert isinstance(end, do.End)
    assert end.stop.reason is StopReason.LEAVING
    assert core.is_idle


# A client: a leaf with a child of its own


def test_a_client_asks_all_its_neighbours_and_joins_where_the_first_answer_came_from() -> None:
    core = client("n1", "n2")
    actions = core.handle(Wanted("news", 10.0, Start.LIVE), 0.0)
    request = request_of(actions)
    assert set(asked(actions)) == {"n1", "n2"}
    ask, cancel = core.handle(Answered("n2", found(request)), 0.1)
    assert cancel == do.CancelAsks(request, ("n1",))
    assert ask == do.Subscribe(1, "news", request, NodeParent("n2"), 0, Start.LIVE)
    receive, accept = core.handle(Accepted(1, port(RP, N2)), 0.2)
    assert receive == do.Receive(1, "news")
    assert isinstance(accept, do.Accept)
    assert (accept.connection, accept.path) == (LOCAL, (RP, N2, VIEWER))


def test_a_client_whose_content_does_not_exist_fails_at_once() -> None:
    core = client("n1")
    request = request_of(core.handle(Wanted("nothing", 10.0), 0.0))
    (fail,) = core.handle(Answered("n1", miss(MissReason.ABSENT, request, content="nothing")), 0.1)
    assert isinstance(fail, do.Fail)
    assert (fail.failure.reason, fail.failure.unreachable) == (MissReason.ABSENT, False)
    assert core.is_idle


def test_a_client_calls_until_its_neighbour_is_there() -> None:
    core, now = client("n1"), 0.0
    request = request_of(core.handle(Wanted("news", 10.0), now))
    for _ in range(5):
        waits = do.Await("news", "connection refused; asking again by itself")
        assert core.handle(Unasked("n1", request, "connection refused"), now) == [waits]
        now += UNREACHABLE_PAUSE
        request = request_of(core.handle(TimePassed(), now))
    core.handle(Answered("n1", found(request)), now)
    assert core.branches["news"].state is State.JOINING


def test_a_client_whose_neighbour_takes_its_question_and_says_nothing_is_told_so() -> None:
    core = client("n1")
    core.handle(Wanted("news", 10.0), 0.0)
    waits = [action for now in range(20) for action in core.handle(TimePassed(), now / 2)]
    assert do.Await("news", "no answer yet; asking again by itself") in waits


@pytest.mark.parametrize("round_trip_ms", [1010.0, 3000.0])
def test_a_client_whose_first_connect_was_slow_asks_all_the_same_and_again_and_again(
    round_trip_ms: float,
) -> None:
    core, asked, failures = client("n1"), list[float](), list[do.Fail]()
    core.handle(RoundTripMeasured("n1", round_trip_ms), 0.0)  # a lost SYN is sent again after a second
    actions = core.handle(Wanted("news", 30.0), 0.0)
    for tick in range(1, 400):
        asked += [tick / 10 for action in actions if isinstance(action, do.Ask)]
        failures += [action for action in actions if isinstance(action, do.Fail)]
        actions = core.handle(TimePassed(), tick / 10)
    assert len(asked) > 2
    (fail,) = failures
    assert not fail.failure.unreachable, "somebody was asked: 'nobody answers, is it running?' would be a lie"


def test_a_client_whose_neighbour_never_comes_says_that_nobody_answers() -> None:
    core = client("n1")
    request = request_of(core.handle(Wanted("news", 1.0), 0.0))
    (fail,) = core.handle(Unasked("n1", request, "connection refused"), 1.0)
    assert isinstance(fail, do.Fail)
    assert (fail.failure.unreachable, fail.failure.text) == (True, "connection refused")


def test_a_client_that_collided_asks_again_under_another_id() -> None:
    core = client("n1")
    first = request_of(core.handle(Wanted("news", 10.0), 0.0))
    core.handle(Answered("n1", found(first)), 0.1)
    assert core.handle(Refused(1, MissReason.BUSY), 0.2) == [
        do.Leave(1, "news", StopReason.UNSUBSCRIBE),
        do.Await("news", "busy; asking again by itself"),
    ]
    again = core.handle(TimePassed(), 0.3)
    assert request_of(again) != first


def test_a_client_is_told_new_paths_and_cuts() -> None:
    core = joined_client()
    assert core.handle(Accepted(1, port(RP, N3, N1, version=2)), 1.0) == [
        do.Update(LOCAL, "news", (RP, N3, N1, VIEWER), 2, cut=False)
    ]
    actions = without_announcements(core.handle(FeedChanged(1, Feed.SILENT), 1.1))
    assert actions[-1] == do.Update(LOCAL, "news", (RP, N3, N1, VIEWER), 3, cut=True)


def test_a_client_s_content_is_over_when_it_has_received_all_of_it() -> None:
    core = joined_client()
    assert do.AwaitDrain("news", 99) in core.handle(Stopped(1, StopReason.END, 99), 1.0)
    end, *_ = core.handle(Drained("news", (LOCAL,)), 1.2)
    assert isinstance(end, do.End)
    assert (end.connection, end.stop.reason, end.stop.last) == (LOCAL, StopReason.END, 99)


@pytest.mark.parametrize("event", [Unwanted("news"), Leaving()], ids=repr)
def test_a_client_leaves_while_it_searches_joins_or_watches(event: Event) -> None:
    searching = client("n1")
    request = request_of(searching.handle(Wanted("news", 10.0), 0.0))
    assert do.CancelAsks(request, ("n1",)) in searching.handle(event, 0.1)
    joining = client("n1")
    request = request_of(joining.handle(Wanted("news", 10.0), 0.0))
    joining.handle(Answered("n1", found(request)), 0.1)
    assert [a.upstream for a in joining.handle(event, 0.2) if isinstance(a, do.Leave)] == [1]
    watching = joined_client()
    assert do.CloseRelay("news") in watching.handle(event, 1.0)
    assert all(core.is_idle for core in (searching, joining, watching))


def test_what_nobody_wants_any_more_is_no_matter() -> None:
    assert client("n1").handle(Unwanted("news"), 0.0) == []


def test_a_node_may_have_a_child_of_its_own_beside_others() -> None:
    core = fed_node()
    accept, _ = core.handle(Wanted("news", 10.0), 1.0)
    assert isinstance(accept, do.Accept)
    assert (accept.connection, accept.path) == (LOCAL, (RP, N1))
    assert core.handle(ConnectionGone(1, Departure.LOST), 1.1) == [do.Dismiss(1, "news")]
    assert do.CloseRelay("news") in core.handle(Unwanted("news"), 1.2)


# Who repairs


def advertised(core: NodeCore, name: str, *path: Identity, fed: bool = True) -> None:
    core.handle(Advertised(name, "news", path, fed), 0.5)


def test_the_spare_that_a_neighbour_has_advertised_is_asked_at_once() -> None:
    core = fed_node()
    advertised(core, "n2", RP, N2)
    actions = core.handle(ParentLost(1, "reset"), 1.0)
    (ask,) = [action for action in actions if isinstance(action, do.Subscribe)]
    assert (ask.parent, ask.resume) == (NodeParent("n2"), True)
    assert do.Advertise("news", (RP, N1), False, viewers=1) in actions


def test_who_looks_for_a_parent_asks_a_neighbour_as_soon_as_that_one_says_that_it_is_fed() -> None:
    core = fed_node()
    core.handle(ParentLost(1, "reset"), 1.0)
    asks = [
        a for a in core.handle(Advertised("n2", "news", (RP, N2), True), 1.01) if isinstance(a, do.Subscribe)
    ]
    assert [(ask.parent, ask.resume, len(ask.request)) for ask in asks] == [(NodeParent("n2"), True, 16)]
    assert core.handle(Advertised("n2", "news", (RP, N3, N2), True), 1.02) == [], "it is being asked"
    core.handle(Accepted(2, port(RP, N2)), 1.03)
    assert core.handle(Advertised("n2", "news", (RP, N2), True), 1.04) == []
    core.handle(FeedChanged(2, Feed.FED), 1.05)
    assert core.branches["news"].state is State.FED
    assert core.handle(Advertised("n2", "news", (RP, N3, N2), True), 1.06) == []


def test_neither_a_child_nor_who_is_below_it_is_asked() -> None:
    core = node("rp", "n2", "n3")
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("rp", found()), 0.1)
    core.handle(StreamReceived(1, stream(sender=N2)), 0.2)
    core.handle(Accepted(1, port(RP)), 0.3)
    advertised(core, "n2", RP, N3, N2)  # this node is its second parent: n2's path does not show it
    advertised(core, "n3", RP, N1, N2, N3)
    core.handle(ParentLost(1, "reset"), 1.0)
    assert core.due is not None
    assert set(asked(core.handle(TimePassed(), core.due))) == {"n3"}


def test_a_node_that_only_suspects_answers_busy_and_who_resumes_there_is_told_that_it_is_cut_off() -> None:
    core = fed_node()
    core.handle(FeedChanged(1, Feed.SUSPECT), 1.0)
    assert misses(core.handle(DiscReceived(2, disc(R2, sender=OTHER_VIEWER)), 1.1)) == [MissReason.BUSY]
    resuming = stream(R3, sender=N3, resume=Position(7, 40))
    assert misses(core.handle(StreamReceived(3, resuming), 1.1)) == [MissReason.CUT]


def test_a_rendezvous_point_goes_on_at_the_next_server_that_has_the_same_bytes() -> None:
    core = rendezvous("news", servers=SERVERS[:3])
    for server, digest in zip(SERVERS, (b"a" * 32, b"b" * 32, b"a" * 32), strict=False):
        core.handle(ServerListed(server, (ContentInfo("news", digest=digest),)), 0.0)
    core.handle(StreamReceived(1, stream(sender=N1)), 0.0)
    core.handle(Accepted(1, port()), 0.1)
    core.handle(FeedChanged(1, Feed.FED), 0.1)
    actions = core.handle(FeedChanged(1, Feed.SILENT), 1.0)
    (ask,) = [action for action in actions if isinstance(action, do.Subscribe)]
    assert (ask.parent, ask.resume) == (ServerParent(SERVERS[2], b"a" * 32), True)
    core.handle(Accepted(2, port()), 1.1)
    actions = core.handle(FeedChanged(2, Feed.FED), 1.2)
    assert do.Leave(1, "news", StopReason.UNSUBSCRIBE) in actions


def test_a_rendezvous_point_without_another_server_says_that_there_is_no_way_and_waits() -> None:
    core = rendezvous("news")
    core.handle(StreamReceived(1, stream(sender=N1)), 0.0)
    core.handle(Accepted(1, port()), 0.1)
    core.handle(FeedChanged(1, Feed.SILENT), 1.0)
    assert core.due is not None
    assert core.due > 1.0
    actions = core.handle(TimePassed(), core.due)
    assert do.Supply("news", FeedState.CUT, no_way=True) in actions
    actions = core.handle(FeedChanged(1, Feed.FED), 1.5)
    assert do.Supply("news", FeedState.FED) in actions


# What is being prepared

PREPARING = ContentInfo("news", format="preparing 43 %", readiness=Readiness.PREPARING)


def test_a_rendezvous_point_refuses_a_stream_that_is_being_prepared_and_says_when_to_come_again() -> None:
    core = rendezvous("news")
    core.handle(ServerListed(SERVERS[0], (PREPARING,)), 1.0)
    for event in (DiscReceived(1, disc()), StreamReceived(2, stream(R2))):
        (reply,) = core.handle(event, 2.0)
        assert isinstance(reply, do.Reply)
        assert isinstance(reply.message, Miss)
        assert reply.message.reason is MissReason.CUT
        assert reply.message.text == "preparing 43 %"
        assert reply.message.retry_ms >= 1_000


def test_a_node_hands_on_when_to_come_again_and_prefers_that_to_any_other_answer() -> None:
    core = node("rp", "n2", me=N1)
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("rp", miss(MissReason.CUT, text="preparing 43 %", retry_ms=1_500)), 0.1)
    (reply,) = core.handle(Answered("n2", miss(MissReason.ABSENT)), 0.2)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Miss)
    assert (reply.message.text, reply.message.retry_ms) == ("preparing 43 %", 1_500)


def test_a_node_whose_parent_refuses_for_a_while_hands_that_on_to_all_who_wait() -> None:
    core = node("rp", me=N1)
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("rp", found()), 0.1)
    core.handle(StreamReceived(1, stream()), 0.2)
    actions = core.handle(Refused(1, MissReason.CUT, "preparing 43 %", 1_500), 0.3)
    (reply,) = [action for action in actions if isinstance(action, do.Reply)]
    assert isinstance(reply.message, Miss)
    assert reply.message.retry_ms == 1_500


def test_a_client_says_what_it_waits_for_and_asks_again() -> None:
    core = client("n1")
    request = request_of(core.handle(Wanted("news", 60.0), 0.0))
    for percent in range(MAX_TRIES + 2):
        answer = miss(MissReason.CUT, request, text=f"preparing {percent} %", retry_ms=1_000)
        actions = core.handle(Answered("n1", answer), float(percent))
        assert do.Await("news", f"preparing {percent} %") in actions
        request = request_of(core.handle(TimePassed(), percent + 1.0))
    core.handle(Answered("n1", found(request)), 9.0)
    assert core.branches["news"].state is State.JOINING


def test_a_client_that_is_refused_by_the_parent_waits_likewise() -> None:
    core = client("n1")
    request = request_of(core.handle(Wanted("news", 60.0), 0.0))
    core.handle(Answered("n1", found(request)), 0.1)
    actions = core.handle(Refused(1, MissReason.CUT, "preparing 43 %", 1_000), 0.2)
    assert do.Await("news", "preparing 43 %") in actions
    assert core.branches["news"].state is State.SEARCHING
