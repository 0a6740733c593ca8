"""Who is refused because a node has no room: children of all contents, their rate, a busy machine."""

from mcast.overlay import actions as do
from mcast.overlay.events import (
    Accepted,
    ConnectionGone,
    Departure,
    DiscReceived,
    Event,
    Limited,
    RateMeasured,
    Strained,
    StreamReceived,
)
from mcast.overlay.node_core import NodeCore
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Miss, MissReason
from overlay.cores import fed_node, misses, rendezvous
from overlay.messages import R2, R3, VIEWER, disc, port, stream

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


def text_of(actions: list[do.Action]) -> str:
    (reply,) = actions
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Miss)
    return reply.message.text


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
    limited(core, Limited(bit_rate=12 * MEGABIT))
    assert ask(core, 1, "news") == []
    core.handle(Accepted(1, port()), 1.1)
    limited(core, RateMeasured("news", 10 * MEGABIT))
    assert ask(core, 2, "sea") == []  # what it costs is not known yet
    core.handle(Accepted(2, port(content="sea")), 1.2)
    limited(core, RateMeasured("sea", MEGABIT))
    assert (ask(core, 3, "news"), ask(core, 4, "sea")) == ([MissReason.FULL], [])
    limited(core, RateMeasured("news", 0), RateMeasured("sea", 0))
    assert ask(core, 5, "news") == []


def test_a_node_whose_threads_are_busy_takes_nobody_in_until_that_is_over() -> None:
    core = limited(fed_node(), Strained(is_strained=True))
    assert ask(core, 2) == [MissReason.FULL]
    limited(core, Strained(is_strained=False))
    assert ask(core, 3) == []


def test_a_node_that_is_too_far_from_the_rendezvous_point_finds_nobody_a_place_below_it() -> None:
    core = fed_node()
    branch = core.branches["news"]
    assert ask(core, 41) == []
    branch.path = (*branch.path[:-1], *[Identity.node("m")] * MAX_PATH, core.me)
    assert ask(core, 42) == [MissReason.FULL]
    actions = core.handle(DiscReceived(43, disc(R3, sender=viewer(43))), 1.0)
    assert misses(actions) == [MissReason.FULL]
    assert text_of(actions) == "the rendezvous point is 64 hops away, the most there may be"
