"""Neighbours beyond one's own: whom a node names to its clients, and whom a client asks when its own fail."""

import random
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import LOCAL, Action, NodeParent
from mcast.overlay.distance import HOLD_SECONDS, MAX_DISTANCE, STANDBY_DISTANCE
from mcast.overlay.events import (
    Accepted,
    Advertised,
    AdvertsLost,
    Answered,
    ConnectionGone,
    Departure,
    DiscReceived,
    Event,
    Feed,
    FeedChanged,
    Introduced,
    LayoutChanged,
    Leaving,
    ParentLost,
    Stopped,
    StreamReceived,
    TimePassed,
    Unasked,
    Unwanted,
    Wanted,
)
from mcast.overlay.further import AGAIN_SECONDS, MAX_MET, Acquaintances, usable
from mcast.overlay.node_core import NodeCore
from mcast.overlay.search import HANDOVER_SPREAD
from mcast.overlay.transitions import HANDOVER_SECONDS
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_FURTHER, Disc, Found, Miss, MissReason, Port, StopReason, Stream
from mcast.wire.position import Position

RP, N1, N2, N3 = (Identity.node(name) for name in ("rp", "n1", "n2", "n3"))
VIEWER = Identity.client(b"viewer----------")
TOKEN = bytes(16)
STREAM = Position(7, 100)


def at(number: int) -> Endpoint:
    return Endpoint.of(f"10.0.{number}.1", 5000)


class Told:
    """A core and the time; keeps what it has said to the last event."""

    def __init__(self, me: Identity, *neighbours: str, rendezvous: bool = False, seed: int = 1) -> None:
        self.core = NodeCore(me, random.Random(seed), rendezvous=rendezvous)
        self.now, self.said = 0.0, list[Action]()
        self.tell(LayoutChanged(neighbours))

    def tell(self, event: Event, after: float = 0.0) -> list[Action]:
        self.now += after
        self.said = self.core.handle(event, self.now)
        return self.said

    def all(self, kind: type[Action]) -> list[Action]:
        return [action for action in self.said if isinstance(action, kind)]


def port(asked: do.Subscribe, path: tuple[Identity, ...], *further: Endpoint, version: int = 1) -> Port:
    return Port(request=asked.request, content="news", token=TOKEN, path=path, stream=STREAM,
                version=version, further=further)  # fmt: skip


# Which addresses a client takes


@pytest.mark.parametrize(
    ("told_at", "taken"),
    [
        ("10.0.0.1", ["10.0.9.9", "2001:db8::9"]),
        ("127.0.0.1", ["10.0.9.9", "127.0.0.9", "::1", "2001:db8::9"]),
        ("169.254.0.1", ["10.0.9.9", "169.254.9.9", "2001:db8::9"]),
    ],
)
def test_an_address_that_may_mean_another_host_here_is_not_taken(told_at: str, taken: list[str]) -> None:
    told = [Endpoint.of(ip, 5000) for ip in ("10.0.9.9", "127.0.0.9", "::1", "169.254.9.9", "2001:db8::9")]
    assert [str(each.ip) for each in usable(told, ip_address(told_at))] == taken


def test_at_most_four_are_taken_each_once() -> None:
    told = [at(1), at(1), *map(at, range(2, 9))]
    assert usable(told, ip_address("10.0.0.1")) == tuple(map(at, range(1, 1 + MAX_FURTHER)))


def test_own_neighbours_are_no_strangers_and_an_address_is_met_again_after_a_while() -> None:
    known, own = Acquaintances(), {str(at(1)): 0.0}
    known.on_told((at(1), at(2)))
    assert known.meet(own, 0.0)
    assert list(known) == [str(at(2))]
    assert not known.meet(own, 1.0)  # it is met already
    assert known.part()
    assert not known.meet(own, AGAIN_SECONDS - 0.1)
    assert known.meet(own, AGAIN_SECONDS + 0.1)


def test_however_many_are_named_a_few_are_met_in_a_while() -> None:
    known, met = Acquaintances(), set[str]()
    for turn in range(0, 100, MAX_FURTHER):
        known.on_told(tuple(map(at, range(turn, turn + MAX_FURTHER))))
        known.meet({}, 1.0 + turn / 100)
        met |= set(known)
    assert len(met) == MAX_MET


def test_a_parent_that_names_nobody_does_not_make_a_client_forget() -> None:
    known = Acquaintances()
    known.on_told((at(2),))
    known.on_told(())
    assert known.meet({}, 0.0)


# A client


def joined(
    *further: Endpoint, own: tuple[str, ...] = ("10.0.1.1:5000",), seed: int = 1
) -> tuple[Told, do.Subscribe]:
    """Return a client that is fed by its first neighbour, and how it was asked."""
    client = Told(VIEWER, *own, seed=seed)
    (ask, *_) = [each for each in client.tell(Wanted("news", 10.0)) if isinstance(each, do.Ask)]
    client.tell(Answered(own[0], found(ask.disc)))
    (asked,) = client.all(do.Subscribe)
    assert isinstance(asked, do.Subscribe)
    client.tell(Accepted(asked.upstream, port(asked, (RP, N1), *further)))
    assert client.all(do.Accept)
    client.tell(FeedChanged(asked.upstream, Feed.FED))
    return client, asked


def found(disc: Disc) -> Found:
    return Found(request=disc.request, content=disc.content, sender=RP)


def lose(told: Told, asked: do.Subscribe) -> list[do.Ask]:
    """Let the parent's process die; return the questions that are asked when the search begins."""
    told.tell(ParentLost(asked.upstream, "gone"))
    assert not told.all(do.Ask), "many may have lost it at once"
    told.tell(TimePassed(), 0.05)
    return [action for action in told.said if isinstance(action, do.Ask)]


def test_a_client_asks_further_neighbours_at_once_when_its_own_are_dead() -> None:
    client, asked = joined(at(2), at(3))
    assert not client.all(do.Meet)
    met = client.tell(ParentLost(asked.upstream, "gone"))  # so nobody is left to be asked first
    assert [action for action in met if isinstance(action, do.Meet)] == [do.Meet((at(2), at(3)))]
    asks = client.tell(TimePassed(), 0.05)
    assert [ask.neighbour for ask in asks if isinstance(ask, do.Ask)] == [str(at(2)), str(at(3))]


def sent_away(seed: int = 1, *further: Endpoint) -> tuple[Told, do.Subscribe]:
    """Return a client that is fed, and has just been told that its parent is about to end."""
    client, asked = joined(*further, seed=seed)
    told = port(asked, (RP, N1), *further, version=2)
    client.tell(Accepted(asked.upstream, replace(told, leaving=True)))
    return client, asked


def first_asked(client: Told) -> do.Ask:
    """Let time pass until a client asks somebody; return its only question."""
    while not client.all(do.Ask):
        client.tell(TimePassed(), 0.005)
        assert client.now <= HANDOVER_SPREAD + 0.01
    (ask,) = client.all(do.Ask)
    assert isinstance(ask, do.Ask)
    return ask


def test_siblings_that_are_sent_away_go_one_after_another_and_each_asks_one_node() -> None:
    siblings = [sent_away(seed, at(2), at(3), at(4))[0] for seed in range(20)]
    assert not [each for client in siblings for each in client.said if isinstance(each, do.Meet | do.Ask)]
    asks = [first_asked(client) for client in siblings]
    assert {ask.neighbour for ask in asks} == {str(at(2))}
    assert [client.all(do.Meet) for client in siblings] == [[do.Meet((at(2),))]] * 20
    moments = sorted(client.now for client in siblings)
    in_each_fifth = [
        sum(fifth <= 5 * moment / HANDOVER_SPREAD < fifth + 1 for moment in moments) for fifth in range(5)
    ]
    assert max(in_each_fifth) <= 8


def test_who_is_sent_away_and_finds_no_help_at_the_first_asks_all_others_at_once() -> None:
    client, _ = sent_away(1, at(2), at(3), at(4))
    ask = first_asked(client)
    no = Miss(request=ask.disc.request, content="news", reason=MissReason.CUT)
    client.tell(Answered(ask.neighbour, no))
    assert client.all(do.Meet) == [do.Meet((at(2), at(3), at(4)))]
    assert {each.neighbour for each in client.said if isinstance(each, do.Ask)} >= {str(at(3)), str(at(4))}


def test_who_is_sent_away_asks_all_when_the_parent_is_gone_before_the_first_has_answered() -> None:
    client, asked = sent_away(1, at(2), at(3))
    first_asked(client)
    client.tell(TimePassed(), HANDOVER_SECONDS - client.now)
    assert not client.all(do.Ask)
    client.tell(Stopped(asked.upstream, StopReason.LEAVING, None, "leaving"))
    asks = [each for each in client.said if isinstance(each, do.Ask)]
    assert [each.neighbour for each in asks] == [str(at(2)), str(at(3))]
    client.tell(Answered(asks[1].neighbour, found(asks[1].disc)))
    (again,) = [each for each in client.said if isinstance(each, do.Subscribe)]
    assert again.parent == NodeParent(str(at(3)))


def test_who_has_found_somebody_before_the_parent_is_gone_asks_nobody_else() -> None:
    client, asked = sent_away(1, at(2), at(3))
    ask = first_asked(client)
    client.tell(Answered(ask.neighbour, found(ask.disc)))
    assert client.all(do.Subscribe)
    client.tell(Stopped(asked.upstream, StopReason.LEAVING, None, "leaving"))
    assert not client.all(do.Ask)


def test_who_is_sent_away_waits_no_longer_and_asks_all_when_the_parent_is_gone() -> None:
    client, asked = sent_away(1, at(2), at(3))
    client.tell(ParentLost(asked.upstream, "gone"))
    assert [each.neighbour for each in client.said if isinstance(each, do.Ask)] == [str(at(2)), str(at(3))]


def test_a_client_that_is_fed_again_asks_them_no_more() -> None:
    client, asked = joined(at(2))
    (ask,) = lose(client, asked)
    client.tell(Answered(ask.neighbour, found(ask.disc)))
    (again,) = [action for action in client.said if isinstance(action, do.Subscribe)]
    assert again.parent == NodeParent(str(at(2)))
    assert again.resume
    client.tell(Accepted(again.upstream, port(again, (RP, N2), at(1))))
    assert not client.all(do.Meet)
    client.tell(FeedChanged(again.upstream, Feed.FED))
    assert client.all(do.Meet) == [do.Meet(())]
    (told,) = [action for action in client.said if isinstance(action, do.Update)]
    assert (told.connection, told.path) == (LOCAL, (RP, N2, VIEWER))


def test_a_client_whose_other_neighbour_lives_asks_no_stranger() -> None:
    client, asked = joined(at(3), own=("10.0.1.1:5000", "10.0.2.1:5000"))
    client.tell(ParentLost(asked.upstream, "gone"))
    client.tell(TimePassed(), 0.05)
    asks = [action for action in client.all(do.Ask) if isinstance(action, do.Ask)]
    client.tell(Unasked("10.0.1.1:5000", asks[0].disc.request, "refused"))
    client.tell(Answered("10.0.2.1:5000", found(asks[0].disc)))
    assert not client.all(do.Meet)
    assert [type(action) for action in client.said if isinstance(action, do.Subscribe)]


def test_whom_not_to_ask_is_told_by_name_too() -> None:
    client, asked = joined(at(2))
    client.tell(FeedChanged(asked.upstream, Feed.SUSPECT))
    client.tell(TimePassed(), 0.05)  # its own neighbour is the suspect: nobody else can be asked
    (ask,) = client.all(do.Ask)
    assert isinstance(ask, do.Ask)
    assert ask.neighbour == str(at(2))
    assert ask.disc.excluded == (Identity.node("10.0.1.1:5000"), N1)


def test_a_node_does_not_ask_whom_its_parent_names() -> None:
    node = Told(N2, "n1")
    disc = Disc(request=bytes(16), content="news", sender=VIEWER, remaining_ms=4000)
    node.tell(DiscReceived(1, disc))
    node.tell(Answered("n1", found(disc)))
    node.tell(StreamReceived(1, Stream(request=disc.request, content="news", sender=VIEWER)))
    (asked,) = node.all(do.Subscribe)
    assert isinstance(asked, do.Subscribe)
    node.tell(Accepted(asked.upstream, port(asked, (RP, N1), at(9))))
    node.tell(FeedChanged(asked.upstream, Feed.FED))
    assert lose(node, asked) == []
    assert not node.all(do.Meet)


# A node that has clients


class Relay(Told):
    """The node n1 below rp, with children."""

    def __init__(self, *neighbours: str) -> None:
        super().__init__(N1, "rp", *neighbours)
        disc = Disc(request=bytes(16), content="news", sender=VIEWER, remaining_ms=4000)
        self.tell(DiscReceived(1, disc))
        self.tell(Answered("rp", found(disc)))
        self.child(1, VIEWER)
        (asked,) = [action for action in self.said if isinstance(action, do.Subscribe)]
        self.asked = asked

    def child(self, connection: int, sender: Identity) -> list[Action]:
        request = connection.to_bytes(16, "big") if connection > 1 else bytes(16)
        return self.tell(StreamReceived(connection, Stream(request=request, content="news", sender=sender)))

    def feed(self) -> list[Action]:
        self.tell(Accepted(self.asked.upstream, port(self.asked, (RP,))))
        accepted = self.said
        self.tell(FeedChanged(self.asked.upstream, Feed.FED))
        return accepted


def further_of(actions: list[Action]) -> list[tuple[int, tuple[Endpoint, ...]]]:
    return [
        (action.connection, action.further) for action in actions if isinstance(action, do.Accept | do.Update)
    ]


def test_clients_are_told_who_takes_clients_and_nodes_are_not() -> None:
    relay = Relay("n2", "n3")
    relay.tell(Introduced("n2", 1, at(2)))
    relay.tell(Introduced("n3", 1, None))
    assert further_of(relay.feed()) == [(1, (at(2),))]
    assert further_of(relay.child(2, N3)) == [(2, ())]


def test_the_best_are_named_first() -> None:
    relay = Relay("n2", "n3", "n4", "n5")
    relay.tell(Introduced("n2", None, at(2)))
    relay.tell(Introduced("n3", 2, at(3)))
    relay.tell(Introduced("n4", 1, at(4)))
    relay.tell(Introduced("n5", 3, at(5)))
    relay.tell(Advertised("n5", "news", (RP, N2), fed=True))  # streams it already
    relay.tell(Advertised("n2", "news", (RP, N1, N2), fed=True))  # it would fall with us
    assert further_of(relay.feed()) == [(1, (at(5), at(4), at(3), at(2)))]


def test_clients_are_told_when_it_has_changed_and_not_each_time() -> None:
    relay = Relay("n2", "n3")
    relay.tell(Introduced("n2", 1, at(2)))
    relay.feed()
    relay.child(2, N3)
    relay.tell(TimePassed(), 2.0)
    assert further_of(relay.said) == []
    relay.tell(Introduced("n3", 1, at(3)))
    relay.tell(AdvertsLost("n2"))
    assert further_of(relay.said) == []
    relay.tell(TimePassed(), 2.0)
    assert further_of(relay.said) == [(1, (at(3),))]
    relay.tell(LayoutChanged(("rp", "n2")))
    relay.tell(TimePassed(), 2.0)
    assert further_of(relay.said) == [(1, ())]
    (update,) = relay.said
    assert isinstance(update, do.Update)
    assert (update.path, update.cut, update.leaving) == ((RP, N1), False, False)
    assert update.version == 3


def test_whoever_is_no_neighbour_can_have_nobody_named() -> None:
    relay = Relay("n2")
    relay.tell(Introduced("n9", 1, at(9)))
    assert further_of(relay.feed()) == [(1, ())]


# How far the rendezvous point is


def distances(actions: list[Action]) -> list[int | None]:
    return [action.distance for action in actions if isinstance(action, do.Introduce)]


def test_a_rendezvous_point_is_its_own_and_others_are_one_further_than_the_nearest_neighbour() -> None:
    assert distances(Told(RP, "n1", rendezvous=True).said) == [0]
    node = Told(N1, "rp", "n2")
    assert distances(node.said) == [None]
    assert distances(node.tell(Introduced("n2", 3))) == [4]
    assert distances(node.tell(Introduced("rp", 0))) == [1]
    assert distances(node.tell(Introduced("n2", 2))) == []  # no news
    assert distances(node.tell(AdvertsLost("rp"))) == [None], "n2's way may be this one"
    assert distances(node.tell(TimePassed(), HOLD_SECONDS)) == [3]
    assert distances(node.tell(LayoutChanged(("rp",)))) == [None]


def test_a_standby_without_a_way_to_another_is_the_last_resort() -> None:
    node = Told(RP, "n1", rendezvous=True)
    layout = LayoutChanged(("n1",), rendezvous=("first", "rp"))
    assert distances(node.tell(layout)) == [STANDBY_DISTANCE]
    node.tell(Introduced("first", 0))
    assert distances(node.tell(Introduced("n1", 3))) == [], "it may have thought of this one, which served"
    assert distances(node.tell(TimePassed(), HOLD_SECONDS)) == [4]


def test_two_nodes_that_have_only_each_other_do_not_count_for_ever() -> None:
    node = Told(N1, "n2")
    assert distances(node.tell(Introduced("n2", MAX_DISTANCE - 1))) == [MAX_DISTANCE]
    assert distances(node.tell(Introduced("n2", MAX_DISTANCE))) == [None]


def test_a_client_introduces_itself_to_nobody() -> None:
    client, _ = joined(at(2))
    assert distances(Told(VIEWER, "a:1").said) == []
    assert not client.all(do.Advertise)


# A repair is handed on upwards; a node that leaves begins nothing


def test_a_node_that_joins_for_one_who_resumes_asks_for_the_same_number() -> None:
    node, onward = Told(N2, "rp"), Position(7, 4711)
    disc = Disc(request=bytes(16), content="news", sender=N3, remaining_ms=4000)
    node.tell(DiscReceived(1, disc))
    node.tell(Answered("rp", found(disc)))
    node.tell(StreamReceived(1, Stream(request=disc.request, content="news", sender=N3, resume=onward)))
    (asked,) = node.all(do.Subscribe)
    assert isinstance(asked, do.Subscribe)
    assert (asked.resume, asked.onward) == (False, onward)


def test_a_second_one_who_resumes_is_told_to_come_again_in_a_moment() -> None:
    relay = Relay()
    late = Stream(request=b"\xff" * 16, content="news", sender=N3, resume=Position(7, 4711))
    (reply,) = relay.tell(StreamReceived(2, late))
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Miss)
    assert reply.message.reason is MissReason.BUSY


def test_a_node_that_leaves_hands_its_children_over_and_begins_nothing() -> None:
    relay = Relay()
    relay.feed()
    relay.child(2, N3)
    relay.tell(Leaving())
    assert [(u.connection, u.leaving) for u in relay.all(do.Update) if isinstance(u, do.Update)] == [
        (1, True), (2, True),
    ]  # fmt: skip
    assert not relay.core.is_idle
    for event in (
        DiscReceived(3, Disc(request=b"d" * 16, content="sea", sender=N3, remaining_ms=4000)),
        StreamReceived(3, Stream(request=b"s" * 16, content="sea", sender=N3)),
    ):
        (reply,) = relay.tell(event)
        assert isinstance(reply, do.Reply)
        assert isinstance(reply.message, Miss)
        assert reply.message.reason is MissReason.GONE
    relay.tell(TimePassed(), 0.9)
    assert relay.core.is_idle
    (left,) = relay.all(do.Leave)
    assert isinstance(left, do.Leave)
    assert left.reason.name == "LEAVING"


def test_a_stream_outlives_a_node_that_was_lost_and_no_client() -> None:
    for sender, outlives in ((N3, True), (VIEWER, False)):
        relay = Relay()
        relay.feed()
        relay.child(2, sender)
        relay.tell(ConnectionGone(1, Departure.UNSUBSCRIBED))
        relay.tell(ConnectionGone(2, Departure.LOST))
        assert bool(relay.all(do.CloseRelay)) is not outlives
        relay.tell(TimePassed(), 3.1)
        assert not relay.core.branches


def test_a_search_that_began_with_the_suspicion_lasts_as_long_as_the_repair() -> None:
    client, asked = joined()
    client.tell(FeedChanged(asked.upstream, Feed.SUSPECT), 1.0)
    client.tell(FeedChanged(asked.upstream, Feed.SILENT), 0.5)
    for _ in range(98):  # the parent itself is the only one who could be asked
        client.tell(TimePassed(), 0.1)
        assert not client.all(do.End)
    client.tell(TimePassed(), 0.3)
    assert client.all(do.End)


def test_what_gives_up_says_how_the_parent_was_lost() -> None:
    client = Told(VIEWER, "a:1")
    (ask, *_) = [a for a in client.tell(Wanted("news", 10.0, give_up=2.0)) if isinstance(a, do.Ask)]
    client.tell(Answered("a:1", found(ask.disc)))
    (asked,) = client.all(do.Subscribe)
    assert isinstance(asked, do.Subscribe)
    client.tell(Accepted(asked.upstream, port(asked, (RP, N1))))
    client.tell(ParentLost(asked.upstream, "it hung up"))
    client.tell(TimePassed(), 1.9)
    assert not client.all(do.End)
    client.tell(TimePassed(), 0.2)
    (end,) = client.all(do.End)
    assert isinstance(end, do.End)
    assert end.stop.text == "no media for 2 s, since a:1 was lost (cut it hung up)"
    client.tell(Unwanted("news"))
    assert client.core.is_idle
