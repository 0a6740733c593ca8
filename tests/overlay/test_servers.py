"""What the rendezvous point knows of its servers, and in which order it asks them."""

from dataclasses import replace

from mcast.overlay.actions import Due, ServerParent
from mcast.overlay.server_choice import Measurement
from mcast.overlay.servers import (
    BENEFIT_OF_DOUBT,
    FIRST_TURN,
    LATEST_TURN,
    MAX_STREAMS,
    REMEMBERED,
    TURNS,
    Servers,
)
from mcast.wire.node import Found, Miss, MissReason
from mcast.wire.position import Position
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
    known.on_listed(B, (NEWS,), 0.0)
    assert (known.has("news"), known.has("films")) == (True, False)


def test_a_new_list_replaces_the_old_one() -> None:
    known = servers(A)
    known.on_listed(A, (NEWS,), 0.0)
    known.on_listed(A, (FILMS,), 0.0)
    assert (known.has("news"), known.has("films")) == (False, True)


def test_the_best_measured_server_is_first_and_those_not_measured_last() -> None:
    known = servers(A, B, C)
    for address in (A, B, C):
        known.on_listed(address, (NEWS,), 0.0)
    known.on_measured(B, 900)
    known.on_measured(C, 500)
    assert addresses(known.ranking("news")) == [C, B, A]


def test_a_mute_server_comes_last_whatever_it_has_until_it_answers() -> None:
    known = servers(A, B, C)
    known.on_listed(A, (replace(NEWS, running=(Position(7, 40),)),), 0.0)
    known.on_listed(B, (NEWS,), 0.0)
    known.on_listed(C, (preparing(43),), 0.0)
    assert addresses(known.ranking("news")) == [A, B, C]
    known.on_mute(A)
    assert addresses(known.ranking("news")) == [B, C, A]
    assert addresses(known.ranking_onward("news", 7, 1.0)) == [B, C, A]
    assert known.explain("news", known.ranking("news"))[2].text == (
        f"[news] server choice 3: {A}: not measured yet; it said nothing when it was asked last"
    )
    known.on_measured(A, 900_000)
    assert addresses(known.ranking("news")) == [A, B, C]
    known.on_mute(A)
    known.on_accepted("news", ServerParent(A), Position(7, 50), 2.0)
    assert addresses(known.ranking("news")) == [A, B, C]


def test_only_servers_that_have_the_content_are_ranked() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,), 0.0)
    known.on_listed(B, (FILMS,), 0.0)
    known.on_measured(B, 1)
    assert addresses(known.ranking("news")) == [A]
    assert known.ranking("nothing") == []


def test_a_server_that_is_lost_has_neither_contents_nor_measurements() -> None:
    known = servers(A)
    known.on_listed(A, (NEWS,), 0.0)
    known.on_measured(A, 500)
    known.on_lost(A, 1.0)
    assert (known.has("news"), known.ranking("news"), known.measurements()) == (False, [], {})
    known.on_listed(A, (NEWS,), 0.0)
    assert known.has("news")


def test_a_server_that_has_never_answered_makes_the_list_uncertain_for_a_while() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,), 0.0)
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
    known.on_listed(A, (), 0.0)
    known.on_lost(A, 1.0)
    assert not known.doubts(1.0)


def test_a_new_layout_keeps_what_is_known_of_those_that_stay() -> None:
    known = servers(A, B)
    known.on_listed(A, (NEWS,), 0.0)
    known.on_listed(B, (FILMS,), 0.0)
    known.on_layout((A, C), 5.0)
    assert (known.has("news"), known.has("films")) == (True, False)
    assert known.doubts(5.0 + BENEFIT_OF_DOUBT - 0.1) == f"server {C} has not answered yet"


def test_what_is_told_of_a_stranger_is_not_kept() -> None:
    known = servers(A)
    known.on_listed(B, (NEWS,), 0.0)
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
        known.on_listed(address, (NEWS,), 0.0)
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
    known.on_listed(A, (preparing(43),), 0.0)
    known.on_listed(B, (FILMS,), 0.0)
    told = answer(known)
    assert isinstance(told, Miss)
    assert (told.reason, told.text, told.retry_ms) == (MissReason.CUT, "preparing 43 %", 1_000)
    known.on_listed(A, (NEWS,), 0.0)
    assert isinstance(answer(known), Found)


def test_nobody_waits_for_a_preparation_while_another_server_is_ready() -> None:
    known = servers(A, B, C)
    for address, info in ((A, preparing(43)), (B, NEWS), (C, FAILED)):
        known.on_listed(address, (info,), 0.0)
        known.on_measured(address, {A: 1, B: 900, C: 2}[address])
    assert isinstance(answer(known), Found)
    assert addresses(known.ranking("news")) == [B, A, C]


def test_a_stream_that_runs_on_while_its_content_is_prepared_anew_can_be_joined() -> None:
    known = servers(A)
    known.on_listed(A, (replace(preparing(1), running=(Position(7, 100),)),), 0.0)
    assert isinstance(answer(known), Found)


def test_a_preparation_that_has_failed_is_asked_for_so_that_the_server_says_why() -> None:
    known = servers(A, B)
    known.on_listed(A, (FAILED,), 0.0)
    assert isinstance(answer(known), Found)
    known.on_listed(B, (preparing(1),), 0.0)
    assert isinstance(answer(known), Miss), "it may still come from the other one"


def test_a_crowd_that_waits_comes_again_one_after_the_other_but_nobody_later_than_5_s() -> None:
    known = servers(A)
    known.on_listed(A, (preparing(1),), 0.0)
    turns = [known.turn_ms(10.0) for _ in range(1_000)]
    assert turns[0] == FIRST_TURN * 1000
    assert turns == sorted(turns)
    assert turns[TURNS] == (FIRST_TURN + 1.0) * 1000
    assert turns[-1] == LATEST_TURN * 1000
    assert known.turn_ms(100.0) == FIRST_TURN * 1000


# Streams that run

ONE, TWO = b"1" * 32, b"2" * 32


def news(digest: bytes = ONE, *running: Position) -> ContentInfo:
    return ContentInfo("news", digest=digest, running=running)


def goes_on(known: Servers, ssrc: int, now: float = 1.0) -> list[tuple[str, bool]]:
    """Return who is asked to go on with a stream, and whether it can, in this order."""
    return [(each.address, each.goes_on) for each in known.ranking_onward("news", ssrc, now)]


def test_a_stream_that_runs_is_joined_before_another_one_is_begun_at_a_better_server() -> None:
    known = servers(A, B)
    known.on_listed(A, (news(),), 0.0)
    known.on_listed(B, (news(ONE, Position(7, 40)),), 0.0)
    known.on_measured(A, 100)
    known.on_measured(B, 900)
    assert addresses(known.ranking("news")) == [B, A]


def test_who_wants_a_certain_stream_asks_who_runs_it_then_who_has_its_bytes_then_the_others() -> None:
    known = servers(A, B, C)
    known.on_listed(A, (news(TWO, Position(9, 1)),), 0.0)
    known.on_listed(B, (news(ONE),), 0.0)
    known.on_listed(C, (news(ONE, Position(7, 40)),), 0.0)
    assert goes_on(known, 7) == [(C, True), (B, True), (A, False)]


def test_the_bytes_of_a_stream_are_remembered_for_a_minute_after_it_was_listed_last() -> None:
    known = servers(A, B, C)
    known.on_listed(A, (news(ONE, Position(7, 40)),), 0.0)
    known.on_listed(B, (news(ONE),), 0.0)
    known.on_listed(C, (news(TWO),), 0.0)
    known.on_lost(A, 100.0)
    assert goes_on(known, 7, 100.0 + REMEMBERED - 1) == [(B, True), (C, False)]
    assert goes_on(known, 7, 100.0 + REMEMBERED) == [(B, False), (C, False)]


def test_of_a_stream_that_nobody_remembers_there_is_no_doubt_where_all_have_the_same_bytes() -> None:
    known = servers(A, B)
    known.on_listed(A, (news(ONE),), 0.0)
    known.on_listed(B, (news(ONE),), 0.0)
    assert goes_on(known, 7) == [(A, True), (B, True)]
    known.on_listed(B, (news(TWO),), 0.0)
    assert goes_on(known, 7) == [(A, False), (B, False)]


def test_a_live_input_is_gone_on_with_only_where_it_runs() -> None:
    known = servers(A, B)
    known.on_listed(A, (news(b"", Position(7, 40)),), 0.0)
    known.on_listed(B, (news(b"", Position(8, 40)),), 0.0)
    assert goes_on(known, 7) == [(A, True), (B, False)]
    known.on_lost(A, 1.0)
    assert goes_on(known, 7) == [(B, False)]


def test_bytes_that_a_server_has_prepared_since_under_the_name_are_not_those_of_its_running_stream() -> None:
    known = servers(A, B)
    known.on_listed(A, (news(ONE, Position(7, 40)),), 0.0)
    known.on_listed(A, (news(TWO, Position(7, 90)),), 5.0)
    known.on_listed(B, (news(TWO),), 5.0)
    assert goes_on(known, 7, 6.0) == [(A, True), (B, False)]


def test_a_stream_is_dated_by_the_head_that_was_listed_last() -> None:
    known = servers(A)
    known.on_listed(A, (news(ONE, Position(7, 40)),), 3.0)
    assert known.due("news", 7) == Due(40, 3.0)
    known.on_accepted("news", ServerParent(A, ONE), Position(7, 50), 4.0)
    assert known.due("news", 7) == Due(50, 4.0)
    assert known.due("news", 8) is None


def test_no_more_streams_are_remembered_than_there_is_room_for() -> None:
    known = servers(A)
    for ssrc in range(MAX_STREAMS + 1):
        known.on_listed(A, (news(ONE, Position(ssrc, 1)),), 0.0)
    assert known.due("news", 0) is None
    assert known.due("news", MAX_STREAMS) is not None
