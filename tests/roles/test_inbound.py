"""Connections that others have made: what they may say, the events they become, how they are answered."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.media.child import ChildLost
from mcast.net.connection import Connection, PeerGone
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Update
from mcast.overlay.events import ConnectionGone, Departure, DiscReceived, Event, StreamReceived
from mcast.roles.node.inbound import BYE_GRACE, Inbound, InboundConnections
from mcast.shares import UNCOUNTED, Places, Shares, source_of
from mcast.wire.frame import Message
from mcast.wire.node import Found, Miss, MissReason, Port, Stop, StopReason, Watch
from peers import tcp_pair
from roles.partners import N1, RP, VIEWER, disc, found, miss, port_for, read, stop_for, stream_of

LATER = 10.0**9
HERE = source_of(ip_address("127.0.0.1"))


class Events:
    """A decider that only listens."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.has_room = True

    def offer(self, event: Event) -> bool:
        if self.has_room:
            self.events.append(event)
        return self.has_room

    def post(self, event: Event) -> None:
        self.events.append(event)

    def wait_for(self, count: int = 1) -> list[Event]:
        wait_until(lambda: len(self.events) >= count, f"{count} events (there are {self.events})")
        return self.events


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def watchers() -> Recorder:
    return Recorder()


@pytest.fixture
def inbound(watcher: Watcher, events: Events, watchers: Recorder) -> Iterator[InboundConnections]:
    inbound = InboundConnections(watcher, events, lambda *who: watchers(who))
    yield inbound
    inbound.close()


Call = Callable[[], Connection]


@pytest.fixture
def call(inbound: InboundConnections) -> Iterator[Call]:
    """Connect to the node; the connections are numbered from 1 on."""
    with contextlib.ExitStack() as calls:

        def call() -> Connection:
            ours, theirs = calls.enter_context(tcp_pair())
            inbound.take(ours)
            return calls.enter_context(Connection(theirs.dup()))

        yield call


def link_of(inbound: InboundConnections, number: int) -> Inbound:
    link = inbound.get(number)
    assert link is not None
    return link


def subscribe(caller: Connection, inbound: InboundConnections, events: Events, number: int = 1) -> Port:
    """Have a caller's STREAM accepted."""
    asked, before = stream_of(disc()), len(events.events)
    caller.send(asked)
    events.wait_for(before + 1)
    port = port_for(asked)
    inbound.accepted(link_of(inbound, number), port)
    assert read(caller, Port) == port
    return port


def gone(caller: Connection) -> bool:
    """Tell whether the node closes without another word."""
    try:
        caller.receive(PATIENCE)
    except PeerGone:
        return True
    return False


# What comes in


def test_disc_and_stream_become_events_of_their_connection_one_after_another(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    first, second = call(), call()
    asked = disc()
    first.send(asked)
    assert events.wait_for(1) == [DiscReceived(1, asked, HERE)]
    inbound.reply(1, found(asked))
    assert read(first, Found) == found(asked)
    first.send(stream_of(asked))
    second.send(disc("sea", asked.request))
    told = events.wait_for(3)
    assert StreamReceived(1, stream_of(asked), HERE) in told
    assert DiscReceived(2, disc("sea", asked.request), HERE) in told


def test_a_refused_stream_may_be_followed_by_another_question(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    caller, asked = call(), stream_of(disc())
    caller.send(asked)
    events.wait_for(1)
    inbound.reply(1, miss(asked, MissReason.BUSY))
    assert read(caller, Miss).reason is MissReason.BUSY
    caller.send(again := disc())
    assert events.wait_for(2)[1] == DiscReceived(1, again, HERE)


@pytest.mark.parametrize(
    "messages",
    [
        [disc(), disc()],
        [disc(), stream_of(disc())],
        [stream_of(disc()), disc()],
        [found(disc())],
        [miss(disc(), MissReason.BUSY)],
        [port_for(stream_of(disc()))],
    ],
)
def test_what_has_no_place_costs_its_connection(
    call: Call, events: Events, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    caller, other = call(), call()
    for message in messages:
        caller.send(message)
    assert gone(caller)
    assert events.wait_for(len(messages))[-1] == ConnectionGone(1, Departure.LOST)
    assert "breaks the protocol" in caplog.text
    other.send(asked := disc())
    assert events.wait_for(len(messages) + 1)[-1] == DiscReceived(2, asked, HERE)


def test_too_many_requests_at_once_cost_the_connection_of_the_last(
    call: Call, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    events.has_room = False
    caller = call()
    caller.send(disc())
    assert gone(caller)
    assert events.wait_for(1) == [ConnectionGone(1, Departure.LOST)]
    assert "too many requests at once" in caplog.text


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        (StopReason.UNSUBSCRIBE, Departure.UNSUBSCRIBED),
        (StopReason.LEAVING, Departure.LEAVING),
        (None, Departure.LOST),
    ],
)
def test_the_end_says_whether_it_was_wanted(
    call: Call, inbound: InboundConnections, events: Events, reason: StopReason | None, how: Departure,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    caller = call()
    subscribe(caller, inbound, events)
    if reason is not None:
        caller.send(stop_for(stream_of(disc()), reason))
    caller.close()
    assert events.wait_for(2)[1] == ConnectionGone(1, how)
    assert inbound.get(1) is None
    assert [record.__dict__["fields"]["child"] for record in caplog.records] == [str(VIEWER)]
    assert "breaks the protocol" not in caplog.text


def test_who_only_asked_leaves_without_a_line_in_the_log(
    call: Call, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caller = call()
    caller.send(disc())
    caller.close()
    assert events.wait_for(2)[1] == ConnectionGone(1, Departure.LOST)
    assert caplog.records == []


def test_beyond_the_bound_the_oldest_that_rests_gives_way(
    call: Call, inbound: InboundConnections, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    inbound._crowd._most = 2
    resting, asking = call(), call()
    asking.send(asked := disc())
    events.wait_for(1)
    newcomer = call()
    assert gone(resting)
    assert ConnectionGone(1, Departure.LOST) in events.wait_for(2)
    assert "which rests: too many connections" in caplog.text
    newcomer.send(also := disc("sea"))
    assert events.wait_for(3)[2] == DiscReceived(3, also, HERE)
    inbound.reply(2, found(asked))
    assert read(asking, Found) == found(asked)


def test_beyond_the_bound_nobody_gives_way_who_is_at_work(
    call: Call, inbound: InboundConnections, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    inbound._crowd._most = 2
    watching, asking = call(), call()
    subscribe(watching, inbound, events)
    asking.send(disc())
    events.wait_for(2)
    call()
    assert "too many connections" in caplog.text
    assert len(inbound) == 2
    watching.close()
    events.wait_for(3)
    call().send(asked := disc())
    assert events.wait_for(4)[3] == DiscReceived(4, asked, HERE)


def test_who_rests_too_long_is_hung_up_on_and_neither_a_child_nor_who_watches(
    call: Call, inbound: InboundConnections, events: Events, watchers: Recorder
) -> None:
    child, resting, neighbour = call(), call(), call()
    subscribe(child, inbound, events)
    neighbour.send(Watch(sender=N1))
    watchers.wait_for(1)
    inbound.on_tick(time.monotonic())
    assert len(inbound) == 3
    inbound.on_tick(LATER)
    assert gone(resting)
    assert events.wait_for(2)[1] == ConnectionGone(2, Departure.LOST)
    assert not link_of(inbound, 1).connection.closed
    assert not link_of(inbound, 3).connection.closed


def test_who_watches_does_not_give_way_beyond_the_bound(
    call: Call, inbound: InboundConnections, events: Events, watchers: Recorder
) -> None:
    inbound._crowd._most = 2
    neighbour, resting = call(), call()
    neighbour.send(Watch(sender=N1))
    watchers.wait_for(1)
    call()
    assert gone(resting)
    assert events.wait_for(1) == [ConnectionGone(2, Departure.LOST)]
    assert not link_of(inbound, 1).connection.closed


def test_an_address_that_asks_too_much_is_told_to_ask_again_and_a_neighbour_is_not(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    inbound._crowd._questions = Shares(0)
    caller = call()
    caller.send(disc())
    assert read(caller, Miss).reason is MissReason.BUSY
    assert events.events == []
    inbound._crowd._questions = Shares(40)
    for _ in range(20):  # half of all, and more than a share
        inbound._crowd._questions.take(HERE)
    caller.send(disc())
    assert read(caller, Miss).reason is MissReason.BUSY
    inbound._crowd._is_favoured = lambda ip: str(ip) == "127.0.0.1"
    neighbour = call()
    neighbour.send(asked := disc())
    assert events.wait_for(1) == [DiscReceived(2, asked, UNCOUNTED)]


def test_an_address_cannot_take_streams_on_all_connections_and_a_neighbour_may(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    inbound._crowd._taking = Places(32)
    for number in range(100, 116):  # half of all, and its share
        assert inbound._crowd.may_take(number, HERE)
    caller, other = call(), call()
    for _ in range(2):  # a refused one holds nothing
        caller.send(stream_of(disc()))
        assert read(caller, Miss).reason is MissReason.FULL
    assert events.events == []
    inbound._crowd._is_favoured = lambda ip: str(ip) == "127.0.0.1"
    neighbour = call()
    neighbour.send(asked := stream_of(disc()))
    assert events.wait_for(1) == [StreamReceived(3, asked, UNCOUNTED)]
    inbound._crowd.leave(100)  # as one of them ends
    subscribe(other, inbound, events, 2)
    caller.send(stream_of(disc()))
    assert read(caller, Miss).reason is MissReason.FULL
    other.close()
    events.wait_for(3)
    subscribe(caller, inbound, events)


def test_a_stream_that_is_refused_gives_its_place_back(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    caller = call()
    for number in (1, 2):
        caller.send(asked := stream_of(disc()))
        events.wait_for(number)
        assert len(inbound._crowd._taking) == 1
        inbound.reply(1, miss(asked, MissReason.BUSY))
        read(caller, Miss)
    assert len(inbound._crowd._taking) == 0


def test_who_is_gone_before_it_is_taken_leaves_nothing_behind(inbound: InboundConnections) -> None:
    with tcp_pair() as (ours, _):
        ours.close()
        with pytest.raises(PeerGone):
            inbound.take(ours)
    assert len(inbound) == 0


# What the media plane tells


def test_a_child_of_whom_nothing_is_heard_is_told_so_and_its_connection_closed(
    call: Call, inbound: InboundConnections, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caller = call()
    subscribe(caller, inbound, events)
    inbound.on_child_lost(1, ChildLost.LEASE)
    assert read(caller, Stop).reason is StopReason.LEASE
    assert gone(caller)
    assert events.wait_for(2)[1] == ConnectionGone(1, Departure.LOST)
    assert caplog.records[-1].__dict__["fields"]["reason"] == "lease"


def test_a_bye_waits_for_the_stop_that_says_why(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    caller = call()
    subscribe(caller, inbound, events)
    inbound.on_child_lost(1, ChildLost.BYE)
    inbound.on_tick(0.0)
    caller.send(stop_for(stream_of(disc()), StopReason.LEAVING))
    assert events.wait_for(2)[1] == ConnectionGone(1, Departure.LEAVING)
    inbound.on_tick(LATER)  # nobody is there any more


def test_a_bye_alone_is_an_end_too_after_a_while(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    assert BYE_GRACE < LATER
    caller = call()
    subscribe(caller, inbound, events)
    inbound.on_child_lost(1, ChildLost.BYE)
    inbound.on_tick(LATER)
    assert gone(caller)
    assert events.wait_for(2)[1] == ConnectionGone(1, Departure.UNSUBSCRIBED)


def test_late_news_of_a_child_that_has_left_are_nothing(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    for reason in ChildLost:
        left = call()
        subscribe(left, inbound, events, number := len(events.events) // 2 + 1)
        left.close()
        told = list(events.wait_for(2 * number))
        assert told[-1] == ConnectionGone(number, Departure.LOST)
        inbound.on_child_lost(number, reason)
        inbound.on_tick(LATER)
        assert events.events == told
    assert len(inbound) == 0


def test_who_watches_is_handed_over_and_may_ask_nothing_more(
    call: Call, inbound: InboundConnections, events: Events, watchers: Recorder
) -> None:
    caller = call()
    caller.send(Watch(sender=N1))
    (handed,) = watchers.wait_for(1)
    assert handed == (Watch(sender=N1), link_of(inbound, 1).connection)
    assert events.events == []
    caller.send(disc())
    assert gone(caller)
    assert events.wait_for(1) == [ConnectionGone(1, Departure.LOST)]


def test_a_child_cannot_watch_on_its_subscription(
    call: Call, inbound: InboundConnections, events: Events, watchers: Recorder
) -> None:
    caller = call()
    subscribe(caller, inbound, events)
    caller.send(Watch(sender=N1))
    assert gone(caller)
    assert watchers.calls == []


# How they are answered


def test_news_from_above_are_a_newer_port(call: Call, inbound: InboundConnections, events: Events) -> None:
    caller = call()
    port = subscribe(caller, inbound, events)
    inbound.update(Update(1, "news", (RP, N1), 2, cut=True))
    assert read(caller, Port) == replace(port, path=(RP, N1), version=2, cut=True)
    inbound.update(Update(1, "news", (RP, N1), 3, cut=False))
    assert read(caller, Port) == replace(port, path=(RP, N1), version=3)


def test_no_way_and_that_the_node_leaves_are_told_below(
    call: Call, inbound: InboundConnections, events: Events
) -> None:
    caller = call()
    port = subscribe(caller, inbound, events)
    inbound.update(Update(1, "news", (RP, N1), 2, cut=True, no_way=True))
    assert read(caller, Port) == replace(port, path=(RP, N1), version=2, cut=True, no_way=True)
    inbound.update(Update(1, "news", (RP, N1), 3, cut=False, leaving=True))
    assert read(caller, Port) == replace(port, path=(RP, N1), version=3, leaving=True)


def test_an_end_from_above_is_told_and_is_no_event(
    call: Call, inbound: InboundConnections, events: Events, watcher: Watcher
) -> None:
    caller = call()
    subscribe(caller, inbound, events)
    inbound.end(1, stop_for(stream_of(disc()), StopReason.END, 41))
    assert read(caller, Stop).last == 41
    assert gone(caller)
    wait_until(lambda: len(watcher) == 0)
    assert len(events.events) == 1  # the STREAM


def test_a_stream_that_cannot_be_taken_in_after_all_is_refused_and_told(
    call: Call, inbound: InboundConnections, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caller, asked = call(), stream_of(disc())
    caller.send(asked)
    events.wait_for(1)
    inbound.refuse(link_of(inbound, 1), miss(asked, MissReason.FULL, "no port"))
    assert read(caller, Miss).text == "no port"
    assert events.wait_for(2)[1] == ConnectionGone(1, Departure.UNSUBSCRIBED)
    assert caplog.records == []  # it has never been a child


def test_answers_to_who_has_left_are_dropped(call: Call, inbound: InboundConnections, events: Events) -> None:
    left, stays = call(), call()
    left.send(asked := disc())
    left.close()
    told = list(events.wait_for(2))
    inbound.reply(1, found(asked))
    inbound.update(Update(1, "news", (RP,), 2, cut=False))
    inbound.end(1, stop_for(stream_of(asked), StopReason.END))
    assert events.events == told
    assert len(inbound) == 1
    stays.send(also := disc())  # and whoever is still there is served
    assert events.wait_for(3)[2] == DiscReceived(2, also, HERE)


def test_close_hangs_up_on_all(call: Call, inbound: InboundConnections) -> None:
    callers = [call(), call()]
    inbound.close()
    assert all(gone(caller) for caller in callers)
    assert len(inbound) == 0
    assert repr(inbound) == "<InboundConnections 0 of 8192>"
