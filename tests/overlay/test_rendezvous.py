"""What the rendezvous point knows of its servers, and in which order it asks them."""

from mcast.overlay.actions import ServerParent
from mcast.overlay.choice import Measurement
from mcast.overlay.rendezvous import BENEFIT_OF_DOUBT, FIRST_TURN, LATEST_TURN, TURNS, Servers
from mcast.wire.node import Found, Miss, MissReason
from mcast.wire.server import ContentInfo, Readiness
from overlay.messages import RP, disc

A, B, C = "10.0.6.10:7000", "10.0.6.11:7000", "10.0.6.12:7000"
NEWS, FILMS = ContentInfo("news"), ContentInfo("films")


def servers(*addresses: str) -> Servers:
    known = Servers()
    known.on_layout(addresses, 0.0)
    return known


def addresses(ranking: list[ServerParent]) -> list[str]:
    return [parent.address for parent in ranking]


def test_a_content_is_there_if_a_server_lists_it() -> None:
    known = servers(A, B)
    known.on_listed(B, (NEWS,))
    assert (known.has("news"), known.has("films")) == (True, False)


def test_a_new_list_replaces_the_old_one() -> None:
    known = servers(A)
    known.on_listed(A, (NEWS,))
    known.on_listed(A, (FILMS,))
    assert (known.has("news"), known.has("films")) == (False, True)


def test_the_best_measured_server_is_first_and_those_not_measured_last() -> None:
    known = servers(A, B, C)
    for address in (A, B, C):
        known.on_listed(address, (NEWS,))
    known.on_measured(B, 900)
    known.on_measured(C, 500)
    assert addresses(known.ranking("news")) == [C, B, A]


def test_only_servers_that_have_the_content_are_ranked() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,))
    known.on_listed(B, (FILMS,))
    known.on_measured(B, 1)
    assert addresses(known.ranking("news")) == [A]
    assert known.ranking("nothing") == []


def test_a_server_that_is_lost_has_neither_contents_nor_measurements() -> None:
    known = servers(A)
    known.on_listed(A, (NEWS,))
    known.on_measured(A, 500)
    known.on_lost(A, 1.0)
    assert (known.has("news"), known.ranking("news"), known.measurements()) == (False, [], {})
    known.on_listed(A, (NEWS,))
    assert known.has("news")


def test_a_server_that_has_never_answered_makes_the_list_uncertain_for_a_while() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,))
    assert known.doubts(0.0) == f"server {B} has not answered yet"
    assert known.doubts(BENEFIT_OF_DOUBT) == ""


def test_that_it_cannot_be_reached_at_first_takes_no_doubt_away() -> None:
    known = servers(A)
    known.on_lost(A, 1.0)
    assert known.doubts(1.0)
    known.on_lost(A, BENEFIT_OF_DOUBT)
    assert not known.doubts(BENEFIT_OF_DOUBT)


def test_a_server_that_had_answered_and_is_lost_is_no_doubt() -> None:
    known = servers(A)
    known.on_listed(A, ())
    known.on_lost(A, 1.0)
    assert not known.doubts(1.0)


def test_a_new_layout_keeps_what_is_known_of_those_that_stay() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,))
    known.on_listed(B, (FILMS,))
    known.on_layout((A, C), 5.0)
    assert (known.has("news"), known.has("films")) == (True, False)
    assert known.doubts(5.0 + BENEFIT_OF_DOUBT - 0.1) == f"server {C} has not answered yet"


def test_what_is_told_of_a_stranger_is_not_kept() -> None:
    known = servers(A)
    known.on_listed(B, (NEWS,))
    known.on_measured(B, 500)
    known.on_lost(B, 1.0)
    assert (known.has("news"), known.measurements()) == (False, {})


def test_measurements_are_told_by_server() -> None:
    known = servers(A, B)
    known.on_measured(A, 500)
    assert known.measurements() == {A: Measurement(500, 500, 0)}


def test_a_choice_is_explained_place_by_place() -> None:
    known = servers(A, B)
    for address in (A, B):
        known.on_listed(address, (NEWS,))
    known.on_measured(B, 500)
    first, second = known.explain("news", known.ranking("news"))
    assert dict(first.fields) == {
        "content": "news", "place": 1, "server": B,
        "delay_us": 500, "latency_us": 500, "jitter_us": 0, "metric": 300,
    }  # fmt: skip
    assert first.event == second.event == "server_choice"
    assert dict(second.fields)["metric"] is None
    assert second.text == f"[news] server choice 2: {A}: not measured yet"


def preparing(percent: int) -> ContentInfo:
    return ContentInfo("news", format=f"preparing {percent} %", readiness=Readiness.PREPARING)


FAILED = ContentInfo("news", format="failed: no film", readiness=Readiness.FAILED)


def answer(known: Servers, now: float = 0.0) -> Miss | Found:
    return known.answer(disc(), RP, now)


def test_who_asks_for_a_content_that_is_being_prepared_is_told_how_far_it_is_and_when_to_ask_again() -> None:
    known = servers(A, B)
    known.on_listed(A, (preparing(43),))
    known.on_listed(B, (FILMS,))
    told = answer(known)
    assert isinstance(told, Miss)
    assert (told.reason, told.text, told.retry_ms) == (MissReason.CUT, "preparing 43 %", 1_000)
    known.on_listed(A, (NEWS,))
    assert isinstance(answer(known), Found)


def test_nobody_waits_for_a_preparation_while_another_server_is_ready() -> None:
    known = servers(A, B, C)
    for address, info in ((A, preparing(43)), (B, NEWS), (C, FAILED)):
        known.on_listed(address, (info,))
        known.on_measured(address, {A: 1, B: 900, C: 2}[address])
    assert isinstance(answer(known), Found)
    assert addresses(known.ranking("news")) == [B, A, C]


def test_a_preparation_that_has_failed_is_asked_for_so_that_the_server_says_why() -> None:
    known = servers(A, B)
    known.on_listed(A, (FAILED,))
    assert isinstance(answer(known), Found)
    known.on_listed(B, (preparing(1),))
    assert isinstance(answer(known), Miss), "it may still come from the other one"


def test_a_crowd_that_waits_comes_again_one_after_the_other_but_nobody_later_than_5_s() -> None:
    known = servers(A)
    known.on_listed(A, (preparing(1),))
    turns = [known.turn_ms(10.0) for _ in range(1_000)]
    assert turns[0] == FIRST_TURN * 1000
    assert turns == sorted(turns)
    assert turns[TURNS] == (FIRST_TURN + 1.0) * 1000
    assert turns[-1] == LATEST_TURN * 1000
    assert known.turn_ms(100.0) == FIRST_TURN * 1000
