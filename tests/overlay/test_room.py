"""Who is refused because a node has no room: children of all contents, their rate, a busy machine."""

from dataclasses import replace

import pytest

from mcast.overlay import actions as do
from mcast.overlay.events import (
    Accepted,
    Answered,
    CarrierLoad,
    ConnectionGone,
    Departure,
    DiscReceived,
    Event,
    Introduced,
    Limited,
    LoadMeasured,
    RateMeasured,
    ServerListed,
    StreamReceived,
    TimePassed,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.room import ASSUMED_BIT_RATE, FIRST_TURN, LATEST_TURN, TOO_LATE_MS
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Disc, Found, Miss, MissReason
from mcast.wire.server import ContentInfo
from overlay.cores import SERVERS, fed_node, misses, node, rendezvous
from overlay.messages import R1, R2, R3, RP, VIEWER, disc, port, stream

MEGABIT = 1_000_000


def viewer(number: int) -> Identity:
    return Identity.client(number.to_bytes(16, "big"))


def limited(core: NodeCore, *events: Event) -> NodeCore:
    """Tell a core what it may do, or is able to do."""
    for event in events:
        core.handle(event, 0.5)
    return core


def ask(core: NodeCore, number: int, content: str = "news") -> list[MissReason]:
    """Have one more viewer ask for a content; return how it is refused."""
    request = number.to_bytes(16, "big")
    return misses(core.handle(StreamReceived(number, stream(request, content, sender=viewer(number))), 1.0))


def answer_of(actions: list[do.Action]) -> Miss:
    """Return the refusal among actions."""
    (reply,) = (action for action in actions if isinstance(action, do.Reply))
    assert isinstance(reply.message, Miss)
    return reply.message


def text_of(actions: list[do.Action]) -> str:
    return answer_of(actions).text


def refusal(core: NodeCore, number: int, content: str = "news", *, scoped: bool = False) -> Miss:
    """Have one more viewer ask who can give a content; return how he is refused."""
    asked = replace(disc(number.to_bytes(16, "big"), content, sender=viewer(number)), scoped=scoped)
    return answer_of(core.handle(DiscReceived(number, asked), 1.0))


def load(*carriers: CarrierLoad) -> LoadMeasured:
    return LoadMeasured(carriers)


def joined(core: NodeCore, numbers: range, content: str = "news") -> int:
    """Have so many viewers ask; return how many are taken in."""
    return sum(ask(core, number, content) == [] for number in numbers)


def test_without_a_bound_everybody_is_taken_in() -> None:
    core = limited(fed_node(), RateMeasured("news", 10**9))
    assert [ask(core, number) for number in range(2, 20)] == [[]] * 18


def test_no_more_children_than_the_operator_allows_and_who_leaves_makes_room() -> None:
    core = limited(fed_node(), Limited(children=2))
    assert (ask(core, 2), ask(core, 3)) == ([], [MissReason.FULL])
    core.handle(ConnectionGone(2, Departure.LOST), 2.0)
    assert ask(core, 4) == []


def test_the_children_of_all_contents_count_together_and_so_do_those_that_wait() -> None:
    core = limited(rendezvous("news", "sea", "sun"), Limited(children=2))
    assert (ask(core, 1, "news"), ask(core, 2, "sea")) == ([], [])
    assert ask(core, 3, "sun") == [MissReason.FULL]


def test_a_question_is_refused_as_its_stream_would_come_through_here_too() -> None:
    core = limited(fed_node(), Limited(children=1))
    assert misses(core.handle(DiscReceived(7, disc(R2)), 1.0)) == [MissReason.FULL]
    assert misses(core.handle(DiscReceived(7, disc(R3, "other")), 1.0)) == [MissReason.FULL]


def test_a_child_that_comes_anew_keeps_its_place() -> None:
    core = limited(fed_node(), Limited(children=1))
    assert misses(core.handle(StreamReceived(9, stream(R2, sender=VIEWER)), 1.0)) == []


def test_a_child_is_refused_that_would_take_the_rate_beyond_its_bound() -> None:
    core = limited(fed_node(), Limited(bit_rate=16 * MEGABIT), RateMeasured("news", 5 * MEGABIT))
    assert (ask(core, 2), ask(core, 3), ask(core, 4)) == ([], [], [MissReason.FULL])
    actions = core.handle(StreamReceived(5, stream(R2, sender=viewer(5))), 1.0)
    assert text_of(actions) == "15.0 of 16 Mbit/s are in use"


def test_contents_are_counted_by_their_own_rates() -> None:
    core = rendezvous("news", "sea")
    limited(
        core, Limited(bit_rate=12 * MEGABIT), RateMeasured("news", 10 * MEGABIT), RateMeasured("sea", MEGABIT)
    )
    assert ask(core, 1, "news") == []
    core.handle(Accepted(1, port()), 1.1)
    assert ask(core, 2, "sea") == []
    core.handle(Accepted(2, port(content="sea")), 1.2)
    assert (ask(core, 3, "news"), ask(core, 4, "sea"), ask(core, 5, "sea")) == (
        [MissReason.FULL], [], [MissReason.FULL],
    )  # fmt: skip


def test_a_crowd_for_a_content_that_has_just_begun_is_counted_by_what_its_servers_say() -> None:
    core = limited(rendezvous(), Limited(bit_rate=100 * MEGABIT))
    core.handle(ServerListed(SERVERS[0], (ContentInfo("news", bit_rate=5 * MEGABIT),)), 0.5)
    assert joined(core, range(1, 1001)) == 20, "they wait, and nothing has been measured yet"


def test_the_rate_goes_down_the_tree_before_any_stream_does() -> None:
    root = rendezvous()
    root.handle(ServerListed(SERVERS[0], (ContentInfo("news", bit_rate=5 * MEGABIT),)), 0.5)
    (reply,) = root.handle(DiscReceived(1, disc()), 1.0)
    assert isinstance(reply, do.Reply)
    told = reply.message
    assert isinstance(told, Found)
    relay = limited(node("rp"), Limited(bit_rate=100 * MEGABIT))
    relay.handle(DiscReceived(1, disc()), 1.0)
    (onward,) = relay.handle(Answered("rp", told), 1.1)
    assert isinstance(onward, do.Reply)
    assert isinstance(onward.message, Found)
    assert told.bit_rate == onward.message.bit_rate == 5 * MEGABIT
    # All ask under ids above that of the first, behind whom they wait.
    assert ask(relay, int.from_bytes(R1, "big")) == []
    above = int.from_bytes(R1, "big") + 1
    assert joined(relay, range(above, above + 1000)) == 19


def test_what_is_measured_here_counts_before_what_others_say() -> None:
    core = limited(fed_node(), Limited(bit_rate=20 * MEGABIT), RateMeasured("news", 4 * MEGABIT))
    core.handle(DiscReceived(7, disc(R2)), 0.6)
    core.handle(Answered("rp", Found(request=R2, content="news", sender=RP, bit_rate=10 * MEGABIT)), 0.7)
    assert joined(core, range(2, 100)) == 4


def test_of_a_content_of_which_nothing_is_known_each_further_child_is_assumed_to_be_dear() -> None:
    core = limited(fed_node(), Limited(bit_rate=3 * ASSUMED_BIT_RATE))
    assert joined(core, range(2, 100)) == 2
    assert refusal(core, 100).retry_ms >= 1000 * FIRST_TURN, "it is known in a moment"
    limited(core, RateMeasured("news", MEGABIT))
    assert joined(core, range(101, 200)) == 27
    assert refusal(core, 201).retry_ms == 0


def test_the_first_child_of_an_unknown_content_is_taken_in_however_small_the_bound_is() -> None:
    core = limited(rendezvous("news"), Limited(bit_rate=MEGABIT))
    assert (ask(core, 1), ask(core, 2)) == ([], [MissReason.FULL])


def test_a_content_that_lacks_a_rate_is_taken_for_the_greatest_that_is_known_here() -> None:
    core = rendezvous("news", "sea")
    limited(core, Limited(bit_rate=10 * MEGABIT), RateMeasured("news", 3 * MEGABIT))
    assert joined(core, range(1, 100), "sea") == 3


def test_rates_that_others_tell_are_forgotten_beyond_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcast.overlay.room.MAX_TOLD", 2)
    core = limited(rendezvous(), Limited(bit_rate=10 * MEGABIT))
    contents = tuple(ContentInfo(name, bit_rate=MEGABIT) for name in ("a", "b", "news"))
    core.handle(ServerListed(SERVERS[0], contents), 0.5)
    assert (joined(core, range(1, 5), "a"), joined(core, range(5, 9), "news")) == (1, 0)


# A busy processor


def test_a_process_that_has_not_kept_up_takes_nobody_in_until_that_is_over() -> None:
    core = limited(fed_node(), load(CarrierLoad(("news",), 0.3, is_strained=True)))
    assert ask(core, 2) == [MissReason.FULL]
    limited(core, load())
    assert ask(core, 3) == []


def test_a_busy_process_takes_only_as_many_as_half_of_its_time_is_enough_for() -> None:
    core = fed_node()
    assert joined(core, range(2, 101)) == 99  # a hundred children
    limited(core, load(CarrierLoad(("news",), 0.7)))
    assert joined(core, range(101, 200)) == 7, "each may cost 0.007, and 0.1 is left"
    limited(core, load(CarrierLoad(("news",), 0.79)))
    assert joined(core, range(201, 300)) == 1
    limited(core, load(CarrierLoad(("news",), 0.8)))
    assert joined(core, range(301, 400)) == 0


def test_who_only_asks_takes_no_place() -> None:
    core = limited(fed_node(), load(CarrierLoad(("news",), 0.79)))
    for number in range(10, 20):
        asked = core.handle(DiscReceived(number, disc(number.to_bytes(16, "big"))), 1.0)
        assert misses(asked) == []
    assert joined(core, range(20, 30)) == 1


def test_a_busy_process_closes_its_own_contents_only_and_a_new_one_goes_to_another() -> None:
    core = rendezvous("news", "sea", "sun")
    for number, content in ((1, "news"), (2, "sea")):
        assert ask(core, number, content) == []
        core.handle(Accepted(number, port(content=content)), 1.1)
    limited(core, load(CarrierLoad(("news",), 0.95), CarrierLoad(("sea",), 0.1)))
    assert (ask(core, 3, "news"), ask(core, 4, "sea"), ask(core, 5, "sun")) == ([MissReason.FULL], [], [])
    limited(core, load(CarrierLoad(("news",), 0.95), CarrierLoad(("sea", "sun"), 0.9)))
    assert misses(core.handle(DiscReceived(6, disc(R3, "rain")), 1.0)) == [MissReason.FULL]


def test_who_is_refused_for_a_moment_is_told_when_to_come_again_and_not_all_at_once() -> None:
    core = limited(fed_node(), load(CarrierLoad(("news",), 0.9)))
    turns = [refusal(core, number).retry_ms for number in range(2, 2000)]
    assert turns[0] == 1000 * FIRST_TURN
    assert turns == sorted(turns)
    assert turns[-1] == 1000 * LATEST_TURN


def test_who_asks_along_the_way_is_to_ask_others_at_once_and_so_is_whom_the_operator_refuses() -> None:
    core = limited(fed_node(), load(CarrierLoad(("news",), 0.9)))
    assert refusal(core, 2, scoped=True).retry_ms == 0
    core = limited(fed_node(), Limited(children=1))
    assert refusal(core, 3).retry_ms == 0


# What others are told


def adverts(actions: list[do.Action]) -> list[tuple[str, bool]]:
    return [(action.content, action.full) for action in actions if isinstance(action, do.Advertise)]


def introduced(actions: list[do.Action]) -> list[bool]:
    return [action.full for action in actions if isinstance(action, do.Introduce)]


def test_neighbours_are_told_at_once_that_a_node_is_full_and_after_a_while_that_it_has_room() -> None:
    core = limited(fed_node(), Limited(children=2))
    assert introduced(core.handle(StreamReceived(2, stream(R2, sender=viewer(2))), 1.0)) == [True]
    assert introduced(core.handle(ConnectionGone(2, Departure.LOST), 1.1)) == []
    assert introduced(core.handle(StreamReceived(3, stream(R3, sender=viewer(3))), 1.2)) == []
    assert introduced(core.handle(TimePassed(), 1.9)) == []
    assert introduced(core.handle(ConnectionGone(3, Departure.LOST), 2.0)) == []
    assert introduced(core.handle(TimePassed(), 3.8)) == []
    assert introduced(core.handle(TimePassed(), 4.1)) == [False]


def test_a_busy_process_makes_its_contents_full_and_the_node_only_if_all_are_busy() -> None:
    core = rendezvous("news", "sea")
    for number, content in ((1, "news"), (2, "sea")):
        ask(core, number, content)
        core.handle(Accepted(number, port(content=content)), 1.1)
    told = core.handle(load(CarrierLoad(("news",), 0.95), CarrierLoad(("sea",), 0.1)), 5.0)
    assert (adverts(told), introduced(told)) == ([("news", True), ("sea", False)], [])
    told = core.handle(load(CarrierLoad(("news",), 0.95), CarrierLoad(("sea",), 0.85)), 5.5)
    assert introduced(told) == [True]
    told = core.handle(load(), 9.0)
    assert introduced(told) == [False]
    assert ("news", False) in adverts([*told, *core.handle(TimePassed(), 9.1)])


def test_that_a_node_is_full_is_an_event_and_so_is_that_it_has_room_again() -> None:
    core = limited(fed_node(), Limited(children=2))
    said = [*core.handle(StreamReceived(2, stream(R2, sender=viewer(2))), 1.0)]
    for now in (1.5, 2.0, 2.5, 4.1):
        said += core.handle(ConnectionGone(2, Departure.LOST) if now == 2.0 else TimePassed(), now)
    events = [(each.event, dict(each.fields)) for each in said if isinstance(each, do.Announce)]
    assert events == [
        ("node_full", {"reason": "2 children, the most that it takes"}),
        ("node_has_room", {"after_ms": 3100}),
    ]


def test_who_was_told_that_there_is_a_place_and_comes_too_late_asks_again_in_a_moment() -> None:
    core = limited(fed_node(), load(CarrierLoad(("news",), 0.9)))
    late = answer_of(core.handle(StreamReceived(2, stream(R2, sender=viewer(2))), 1.0))
    assert late.retry_ms == TOO_LATE_MS


def test_of_a_bound_for_the_rate_the_content_that_does_not_fit_is_full_and_the_node_if_none_does() -> None:
    core = rendezvous("news", "sea")
    limited(
        core, Limited(bit_rate=12 * MEGABIT), RateMeasured("news", 8 * MEGABIT), RateMeasured("sea", MEGABIT)
    )
    assert ask(core, 1, "news") == []
    core.handle(Accepted(1, port()), 1.1)
    assert ask(core, 2, "sea") == []
    told = core.handle(Accepted(2, port(content="sea")), 1.2)
    assert ("news", True) in adverts([*told, *core.handle(TimePassed(), 4.0)])
    assert introduced([*core.handle(StreamReceived(3, stream(R3, "sea", sender=viewer(3))), 5.0)]) == []
    assert joined(core, range(4, 9), "sea") == 2
    assert introduced(core.handle(TimePassed(), 6.0)) in ([], [True])
    assert introduced(core.handle(TimePassed(), 6.1)) == []


def test_a_client_that_is_refused_is_told_of_neighbours_that_are_not_full_and_a_node_is_not() -> None:
    core = limited(fed_node(), Limited(children=1))
    here, there = Endpoint.of("10.0.9.2", 5000), Endpoint.of("10.0.9.9", 5000)
    core.handle(Introduced("n2", 1, here), 0.6)
    core.handle(Introduced("rp", 0, there, full=True), 0.6)
    assert refusal(core, 2).further == (here,)
    from_node: Disc = disc(R2, sender=Identity.node("n2"))
    assert answer_of(core.handle(DiscReceived(3, from_node), 1.0)).further == ()


def test_a_node_that_is_too_far_from_the_rendezvous_point_finds_nobody_a_place_below_it() -> None:
    core = fed_node()
    branch = core.branches["news"]
    assert ask(core, 41) == []
    branch.path = (*branch.path[:-1], *[Identity.node("m")] * MAX_PATH, core.me)
    assert ask(core, 42) == [MissReason.FULL]
    actions = core.handle(DiscReceived(43, disc(R3, sender=viewer(43))), 1.0)
    assert misses(actions) == [MissReason.FULL]
    assert text_of(actions) == "the rendezvous point is 64 hops away, the most there may be"
