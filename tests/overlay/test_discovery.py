"""One request id, one answer: floods, their time, their bounds, and what is remembered of them."""

import pytest

from mcast.overlay import actions as do
from mcast.overlay import discovery as discovery_module
from mcast.overlay.discovery import (
    LEAST_TIME_MS,
    MAX_FLOODS,
    MAX_HOPS,
    MAX_REQUESTS,
    MAX_TIME_MS,
    OWN_FLOOD_SECONDS,
    REQUEST_TTL,
    Discovery,
    Outcome,
)
from mcast.overlay.discovery import found as answer_found
from mcast.overlay.flood import Hindered, OwnAnswer, OwnSearch
from mcast.shares import UNCOUNTED
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason
from overlay.messages import N1, N2, N3, R1, R2, RP, VIEWER, disc, found, miss

NEAR = {"rp": 1.0, "n2": 1.0}


def flooding(request: Disc | None = None, neighbours: dict[str, float] | None = None) -> Discovery:
    """Return n1's discovery after a request on connection 1 that it has handed on."""
    discovery = Discovery(N1)
    discovery.on_disc(request or disc(), 1, None, None, neighbours or NEAR, 0.0)
    return discovery


def ask(request: Disc, neighbours: dict[str, float], discovery: Discovery | None = None) -> list[Outcome]:
    return (discovery or Discovery(N1)).on_disc(request, 1, None, None, neighbours, 0.0)


def asks(outcomes: list[Outcome]) -> dict[str, Disc]:
    return {outcome.neighbour: outcome.disc for outcome in outcomes if isinstance(outcome, do.Ask)}


def reason_of(outcome: Outcome) -> MissReason:
    assert isinstance(outcome, do.Reply | OwnAnswer | Hindered)
    answer = outcome.message if isinstance(outcome, do.Reply) else outcome.answer
    assert isinstance(answer, Miss)
    return answer.reason


def test_a_request_goes_to_every_neighbour_but_the_one_it_came_from() -> None:
    assert set(asks(ask(disc(sender=N2), {**NEAR, "n3": 1.0}))) == {"rp", "n3"}


def test_who_asks_is_kept_through_all_hops_and_is_not_asked_himself() -> None:
    handed_on = asks(ask(disc(sender=N2, origin=N3), {**NEAR, "n3": 1.0}))
    assert set(handed_on) == {"rp"}
    assert (handed_on["rp"].sender, handed_on["rp"].origin, handed_on["rp"].hops) == (N1, N3, 1)


def test_the_first_hop_names_the_asker_that_the_request_did_not() -> None:
    assert asks(ask(disc(sender=VIEWER), NEAR))["rp"].origin == VIEWER


def test_whom_the_request_excludes_is_not_asked() -> None:
    handed_on = asks(ask(disc(excluded=(RP,)), NEAR))
    assert set(handed_on) == {"n2"}
    assert handed_on["n2"].excluded == (RP,)


def test_each_hop_takes_off_100_ms_or_twice_the_round_trip() -> None:
    handed_on = asks(ask(disc(remaining_ms=1000), {"near": 1.0, "far": 300.0}))
    assert {name: asked.remaining_ms for name, asked in handed_on.items()} == {"near": 900, "far": 400}


def test_a_flood_never_takes_longer_than_four_seconds() -> None:
    assert asks(ask(disc(remaining_ms=60_000), NEAR))["rp"].remaining_ms == 3900


def test_with_too_little_time_left_nobody_is_asked() -> None:
    (reply,) = ask(disc(remaining_ms=150), NEAR)
    assert reason_of(reply) is MissReason.DEADLINE


@pytest.mark.parametrize("hops", [0, 1])
def test_where_all_seem_too_far_to_answer_the_nearest_is_asked_all_the_same(hops: int) -> None:
    """Behind a link that has just lost a quarter of everything, PINGs have taken seconds."""
    handed_on = asks(ask(disc(hops=hops, remaining_ms=1000), {"far": 3000.0, "less far": 700.0}))
    assert {name: asked.remaining_ms for name, asked in handed_on.items()} == {"less far": 900}


def test_without_anybody_else_to_ask_the_answer_is_no() -> None:
    (reply,) = ask(disc(sender=RP), {"rp": 1.0})
    assert reason_of(reply) is MissReason.DUPLICATE


def test_a_request_is_answered_once() -> None:
    (reply,) = ask(disc(sender=RP), NEAR, flooding())
    assert reason_of(reply) is MissReason.DUPLICATE


def test_who_knows_answers_by_itself() -> None:
    discovery = Discovery(N1)
    known = answer_found(disc(), N1)
    assert discovery.on_disc(disc(), 1, known, None, NEAR, 0.0) == [do.Reply(1, known)]
    assert discovery.due is None


def test_the_first_found_is_passed_back_remembered_and_ends_the_flood() -> None:
    discovery = flooding(neighbours={**NEAR, "n3": 1.0})
    reply, cancel = discovery.on_found("n2", found(), 0.1)
    assert reply == do.Reply(1, answer_found(disc(), RP))
    assert cancel == do.CancelAsks(R1, ("n3", "rp"))
    assert discovery.on_found("rp", found(), 0.2) == []
    assert discovery.positive_entry(R1, 0.3) == "n2"


def test_a_positive_entry_expires() -> None:
    discovery = flooding()
    discovery.on_found("n2", found(), 0.1)
    assert discovery.positive_entry(R1, REQUEST_TTL) == "n2"
    assert discovery.positive_entry(R1, REQUEST_TTL + 0.1) is None
    assert discovery.positive_entry(R2, 0.2) is None


def test_a_flood_ends_when_the_last_neighbour_has_said_no() -> None:
    discovery = flooding()
    assert discovery.on_miss("n2", miss(MissReason.DUPLICATE), 0.1) == []
    (reply,) = discovery.on_miss("rp", miss(MissReason.FULL, text="4096 children"), 0.1)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Miss)
    assert (reply.message.reason, reply.message.text) == (MissReason.FULL, "4096 children")


@pytest.mark.parametrize("answer", [MissReason.ABSENT, MissReason.CUT, MissReason.LOOP], ids=lambda r: r.name)
def test_the_most_telling_reason_is_passed_on_whenever_it_came(answer: MissReason) -> None:
    for order in ((answer, MissReason.DUPLICATE), (MissReason.DUPLICATE, answer)):
        discovery = flooding()
        discovery.on_miss("n2", miss(order[0]), 0.1)
        (reply,) = discovery.on_miss("rp", miss(order[1]), 0.1)
        assert reason_of(reply) is answer


def test_a_neighbour_counts_once_and_strangers_not_at_all() -> None:
    discovery = flooding()
    assert discovery.on_miss("n2", miss(MissReason.GONE), 0.1) == []
    assert discovery.on_miss("n2", miss(MissReason.GONE), 0.1) == []
    assert discovery.on_miss("n9", miss(MissReason.GONE), 0.1) == []
    assert discovery.on_miss("rp", miss(MissReason.GONE, R2), 0.1) == []
    assert discovery.on_unasked("rp", R2, "refused", 0.1) == []
    assert discovery.due is not None


def test_who_cannot_be_asked_counts_as_cut_off() -> None:
    discovery = flooding()
    discovery.on_unasked("n2", R1, "connection refused", 0.1)
    (reply,) = discovery.on_unasked("rp", R1, "connection refused", 0.1)
    assert isinstance(reply, Hindered)
    assert reply.answer == miss(MissReason.CUT, text="connection refused")


def test_a_flood_that_nobody_answers_ends_with_its_time() -> None:
    discovery = flooding()
    assert discovery.on_time(3.9) == []
    reply, cancel = discovery.on_time(4.0)
    assert reason_of(reply) is MissReason.DEADLINE
    assert cancel == do.CancelAsks(R1, ("n2", "rp"))
    assert discovery.due is None


def test_an_asker_that_hangs_up_cancels_its_floods_and_nobody_else_s() -> None:
    discovery = flooding()
    discovery.on_disc(disc(R2), 2, None, None, NEAR, 0.0)
    assert discovery.on_asker_gone(1) == [do.CancelAsks(R1, ("n2", "rp"))]
    assert discovery.on_found("rp", found(), 0.2) == []
    assert discovery.due is not None


# Below one that is excluded: the second choice


def test_a_second_choice_is_offered_only_when_nobody_has_a_better_one() -> None:
    discovery, own = Discovery(N1), answer_found(disc(), N1)
    assert set(asks(discovery.on_disc(disc(excluded=(RP,)), 1, None, own, NEAR, 0.0))) == {"n2"}
    assert discovery.on_miss("n2", miss(MissReason.ABSENT), 0.1) == [do.Reply(1, own)]


def test_a_better_choice_goes_before_the_second() -> None:
    discovery, own = Discovery(N1), answer_found(disc(), N1)
    discovery.on_disc(disc(excluded=(RP,)), 1, None, own, NEAR, 0.0)
    assert discovery.on_found("n2", found(giver=N3), 0.1) == [do.Reply(1, answer_found(disc(), N3))]


def test_a_second_choice_is_offered_when_the_time_is_over_or_nobody_can_be_asked() -> None:
    own = answer_found(disc(), N1)
    late = Discovery(N1)
    late.on_disc(disc(excluded=(RP,)), 1, None, own, NEAR, 0.0)
    assert late.on_time(4.0) == [do.Reply(1, own), do.CancelAsks(R1, ("n2",))]
    alone = Discovery(N1)
    assert alone.on_disc(disc(excluded=(RP,)), 1, None, own, {"rp": 1.0}, 0.0) == [do.Reply(1, own)]


def test_a_second_choice_is_offered_at_once_where_the_request_may_go_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = answer_found(disc(), N1)
    far = Discovery(N1)
    assert far.on_disc(disc(hops=MAX_HOPS), 1, None, own, NEAR, 0.0) == [do.Reply(1, own)]
    monkeypatch.setattr(discovery_module, "MAX_FLOODS", 1)
    assert flooding().on_disc(disc(R2), 2, None, own, NEAR, 0.0) == [do.Reply(2, own)]


# For this node itself


def test_a_node_that_searches_names_itself_as_the_one_who_asks() -> None:
    handed_on = asks(Discovery(N1).search("news", R1, (), NEAR, 0.0))
    assert {(d.sender, d.origin, d.hops) for d in handed_on.values()} == {(N1, N1, 0)}
    assert {d.remaining_ms for d in handed_on.values()} == {4000}


def test_what_comes_of_an_own_flood_is_told_to_the_search() -> None:
    discovery = Discovery(N1)
    discovery.search("news", R1, (), NEAR, 0.0)
    own, cancel = discovery.on_found("rp", found(), 0.1)
    assert isinstance(own, OwnAnswer)
    assert (own.search, isinstance(own.answer, Found), own.unreachable) == (OwnSearch("news"), True, False)
    assert cancel == do.CancelAsks(R1, ("n2",))
    assert discovery.positive_entry(R1, 0.2) == "rp"


def test_an_own_flood_that_comes_back_round_a_ring_is_a_duplicate() -> None:
    discovery = Discovery(N1)
    discovery.search("news", R1, (), NEAR, 0.0)
    (reply,) = discovery.on_disc(disc(sender=N2, origin=N1), 7, None, None, NEAR, 0.1)
    assert reason_of(reply) is MissReason.DUPLICATE


def test_that_nobody_could_even_be_asked_is_told_apart() -> None:
    discovery = Discovery(N1)
    discovery.search("news", R1, (), NEAR, 0.0)
    discovery.on_unasked("n2", R1, "refused", 0.1)
    (own,) = discovery.on_unasked("rp", R1, "refused", 0.1)
    assert isinstance(own, OwnAnswer)
    assert own.unreachable
    discovery.search("news", R2, (), NEAR, 1.0)
    discovery.on_unasked("n2", R2, "refused", 0.1)
    (own,) = discovery.on_miss("rp", miss(MissReason.CUT, R2), 0.1)
    assert isinstance(own, OwnAnswer)
    assert not own.unreachable


def test_a_neighbour_that_is_asked_and_is_silent_is_no_neighbour_that_cannot_be_asked() -> None:
    discovery = Discovery(N1)
    discovery.search("news", R1, (), NEAR, 0.0, 2.0)
    discovery.on_unasked("n2", R1, "refused", 0.1)
    (own, _) = discovery.on_time(2.0)
    assert isinstance(own, OwnAnswer)
    assert not own.unreachable


@pytest.mark.parametrize("round_trip_ms", [950.0, 1010.0, 60_000.0])
def test_who_searches_for_himself_asks_however_long_a_round_trip_was_measured(round_trip_ms: float) -> None:
    (ask,) = Discovery(N1).search("news", R1, (), {"n2": round_trip_ms}, 0.0, 2.0)
    assert isinstance(ask, do.Ask)
    assert ask.disc.remaining_ms >= (LEAST_TIME_MS if round_trip_ms < 1000 else 2000 - LEAST_TIME_MS)


def test_an_own_flood_leaves_its_neighbours_their_whole_time_to_answer_in() -> None:
    discovery = Discovery(N1)
    discovery.search("news", R1, (), NEAR, 10.0)
    assert discovery.on_time(10.0 + OWN_FLOOD_SECONDS - 0.01) == []
    own, _ = discovery.on_time(10.0 + OWN_FLOOD_SECONDS)
    assert reason_of(own) is MissReason.DEADLINE


# Bounds


def test_a_request_that_came_too_far_goes_no_further() -> None:
    (reply,) = ask(disc(hops=MAX_HOPS), NEAR)
    assert reason_of(reply) is MissReason.DEADLINE


def test_floods_in_progress_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "MAX_FLOODS", 2)
    discovery = flooding()
    discovery.on_disc(disc(R2), 2, None, None, NEAR, 0.0)
    (reply,) = ask(disc(b"x" * 16), NEAR, discovery)
    assert reason_of(reply) is MissReason.BUSY


def test_remembered_requests_are_bounded_and_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "MAX_REQUESTS", 3)
    discovery, known = Discovery(RP), miss(MissReason.ABSENT)
    for number in range(3):
        discovery.on_disc(disc(number.to_bytes(16, "big")), 1, known, None, {}, 0.0)
    (reply,) = discovery.on_disc(disc(R1), 1, known, None, {}, 0.1)
    assert reason_of(reply) is MissReason.BUSY
    (reply,) = discovery.on_disc(disc(R1), 1, known, None, {}, REQUEST_TTL)
    assert reason_of(reply) is MissReason.ABSENT


def test_clients_are_no_neighbours_however_they_are_called() -> None:
    asker = Identity.client(b"n2" + bytes(14))
    assert set(asks(ask(disc(sender=asker), NEAR))) == {"rp", "n2"}


def request_number(number: int) -> Disc:
    return disc(number.to_bytes(16, "big"))


def test_one_source_cannot_have_all_floods_and_ends_give_room_again() -> None:
    discovery, greedy, other = Discovery(N1), b"\x0a\0\0\1", b"\x0a\0\0\2"

    def flood(number: int, source: bytes) -> bool:
        outcomes = discovery.on_disc(request_number(number), number, None, None, NEAR, 0.0, source)
        return bool(asks(outcomes))

    assert sum(flood(number, greedy) for number in range(200)) == MAX_FLOODS // 2
    assert sum(flood(number, other) for number in range(200, 210)) == 10
    assert flood(300, UNCOUNTED)
    assert discovery.on_asker_gone(0)
    assert not flood(301, greedy)
    given_up = [each for each in discovery.on_time(MAX_TIME_MS) if isinstance(each, Hindered)]
    assert len(given_up) == MAX_FLOODS // 2 + 10
    assert discovery.due is None
    assert sum(flood(number, greedy) for number in range(400, 600)) == MAX_FLOODS // 2


def test_one_source_cannot_have_all_ids_and_time_gives_room_again() -> None:
    discovery, greedy, other = Discovery(N1), b"\x0a\0\0\1", b"\x0a\0\0\2"
    known = answer_found(disc(), RP)

    def answered(number: int, source: bytes, now: float = 0.0) -> bool:
        request = request_number(number)
        return discovery.on_disc(request, 1, known, None, NEAR, now, source) == [do.Reply(1, known)]

    assert sum(answered(number, greedy) for number in range(MAX_REQUESTS)) == MAX_REQUESTS // 2
    assert answered(MAX_REQUESTS, other)
    assert answered(MAX_REQUESTS + 1, greedy, REQUEST_TTL)
