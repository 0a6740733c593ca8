"""A search: when it floods again, under which id, and when it gives up."""

from random import Random

import pytest

from mcast.overlay.discovery import OWN_FLOOD_SECONDS, SCOPED_SECONDS
from mcast.overlay.search import (
    BUSY_PAUSE,
    LEAST_TOLD_PAUSE,
    LONGEST_PAUSE,
    LONGEST_TOLD_PAUSE,
    MAX_TRIES,
    REPAIR_SPREAD,
    RETRY_PAUSE,
    STAMPEDE_JITTER,
    UNREACHABLE_PAUSE,
    Search,
)
from mcast.wire.node import MissReason


def begun(patience: float = 10.0, now: float = 0.0) -> Search:
    search = Search(Random(1), now, patience)
    assert search.begin(now) is not None
    return search


def flooding(patience: float = 10.0) -> Search:
    """Return a search whose scoped flood has failed, so that the real one has begun."""
    search = begun(patience)
    assert search.on_missed(MissReason.DUPLICATE, "", 0.0) is None
    assert search.begin(0.0) is not None
    return search


def again(search: Search, before: float, at: float) -> bytes:
    """Check that the next flood begins at a time and not before; return its id."""
    assert search.begin(before) is None
    request = search.begin(at)
    assert request is not None
    return request


def test_a_search_floods_at_once_and_only_once_until_it_has_failed() -> None:
    search = begun()
    assert search.begin(5.0) is None


def test_each_flood_has_an_id_of_its_own() -> None:
    search = begun()
    first = search.request
    search.on_missed(MissReason.BUSY, "", 0.0)
    assert again(search, 0.0, 1.0) != first


def test_absent_ends_it_at_once() -> None:
    failure = begun().on_missed(MissReason.ABSENT, "no server has it", 0.1)
    assert failure is not None
    assert (failure.reason, failure.text, failure.tries) == (MissReason.ABSENT, "no server has it", 1)


def test_busy_is_tried_again_soon_and_counts_as_no_try() -> None:
    search, now = begun(), 0.0
    for _ in range(2 * MAX_TRIES):
        assert search.on_missed(MissReason.BUSY, "", now) is None
        again(search, now + BUSY_PAUSE[0] - 0.001, now + BUSY_PAUSE[1])
        now += BUSY_PAUSE[1]


def test_two_that_collided_do_not_collide_again() -> None:
    pauses = set()
    for seed in range(20):
        search = Search(Random(seed), 0.0, 10.0)
        search.begin(0.0)
        search.on_missed(MissReason.BUSY, "", 0.0)
        pauses.add(next(ms for ms in range(20, 81) if search.begin(ms / 1000) is not None))
    assert len(pauses) > 10


def test_neighbours_that_cannot_be_reached_are_tried_until_the_patience_ends() -> None:
    search, now = begun(patience=10.0), 0.0
    while now < 9.5:
        assert search.on_missed(MissReason.CUT, "refused", now, unreachable=True) is None
        again(search, now + UNREACHABLE_PAUSE - 0.01, now + UNREACHABLE_PAUSE)
        now += UNREACHABLE_PAUSE
    failure = search.on_missed(MissReason.CUT, "refused", 10.0, unreachable=True)
    assert failure is not None
    assert failure.unreachable


def test_a_question_that_nobody_answers_in_time_is_repeated_until_the_patience_ends() -> None:
    search, now = flooding(), 0.0
    for pause in (0.5, 1.0, 2.0, 2.0, 2.0, 2.0):
        assert search.on_missed(MissReason.DEADLINE, "", now) is None
        again(search, now + pause - 0.01, now + pause)
        now += pause
    failure = search.on_missed(MissReason.DEADLINE, "", 10.0)
    assert failure is not None
    assert (failure.reason, failure.tries) == (MissReason.DEADLINE, 7)


@pytest.mark.parametrize(
    "reason",
    set(MissReason) - {MissReason.ABSENT, MissReason.BUSY, MissReason.DEADLINE},
    ids=lambda r: r.name,
)
def test_any_other_reason_is_tried_three_times_with_longer_pauses(reason: MissReason) -> None:
    search, now = flooding(), 0.0
    for tried in range(MAX_TRIES - 1):
        pause = RETRY_PAUSE * 2**tried
        assert search.on_missed(reason, "", now) is None
        again(search, now + pause - 0.01, now + pause)
        now += pause
    failure = search.on_missed(reason, "why", now)
    assert failure is not None
    assert (failure.reason, failure.tries, failure.unreachable) == (reason, MAX_TRIES, False)


@pytest.mark.parametrize(
    "reason", set(MissReason) - {MissReason.ABSENT, MissReason.BUSY}, ids=lambda r: r.name
)
def test_a_scoped_flood_that_leads_nowhere_is_no_try_and_the_real_one_follows_at_once(
    reason: MissReason,
) -> None:
    search = begun()
    scoped = search.request
    assert search.is_scoped
    assert search.on_missed(reason, "", 0.3) is None
    assert (search.has_failed, search.is_scoped) == (False, False)
    assert again(search, 0.29, 0.3) != scoped


def test_who_collides_or_is_told_when_to_come_again_asks_the_same_way() -> None:
    search = begun()
    search.on_missed(MissReason.BUSY, "", 0.1)
    search.on_missed(MissReason.CUT, "preparing", 0.2, retry_ms=500)
    search.on_missed(MissReason.CUT, "refused", 0.3, unreachable=True)
    assert search.is_scoped


def test_who_repairs_asks_everybody_at_once() -> None:
    assert not repair().is_scoped


def test_no_try_begins_after_its_time() -> None:
    failure = begun(patience=1.0).on_missed(MissReason.BUSY, "", 1.0)
    assert failure is not None
    assert failure.reason is MissReason.BUSY


# Who repairs


def repair(seed: int = 1, now: float = 0.0) -> Search:
    search = Search.for_repair(Random(seed), now)
    assert search.due is not None
    search.begin(search.due)
    return search


def test_siblings_that_have_lost_one_parent_do_not_all_begin_at_once() -> None:
    begins = {Search.for_repair(Random(seed), 5.0).due or 0.0 for seed in range(20)}
    assert len(begins) == 20
    assert 5.0 <= min(begins) < max(begins) <= 5.0 + STAMPEDE_JITTER


@pytest.mark.parametrize("reason", MissReason, ids=lambda r: r.name)
def test_a_repair_s_search_never_fails_by_itself(reason: MissReason) -> None:
    search, now = repair(), 0.0
    while now < 100.0:
        assert search.on_missed(reason, "", now) is None
        assert search.due is not None
        assert now < search.due <= now + LONGEST_PAUSE
        now = search.due
        search.begin(now)


def test_a_repair_is_tried_several_times_within_half_a_second_and_then_more_and_more_rarely() -> None:
    search, tries, now = repair(), 0, 0.0
    while now < 10.0:
        search.on_missed(MissReason.CUT, "", now)
        assert search.due is not None
        now = search.due
        search.begin(now)
        tries += now < 0.5
    assert tries >= 3
    assert search.on_missed(MissReason.CUT, "", 10.0) is None
    assert search.due == 10.0 + LONGEST_PAUSE


def test_who_collides_again_and_again_comes_back_more_and_more_rarely() -> None:
    search, tries, now = repair(), 0, 0.0
    while now < 10.0:
        search.on_missed(MissReason.BUSY, "", now)
        assert search.due is not None
        now = search.due
        search.begin(now)
        tries += 1
    assert tries < 15


def test_neighbours_that_no_repair_reaches_are_asked_four_times_a_second() -> None:
    search = repair()
    search.on_missed(MissReason.CUT, "", 1.0, unreachable=True)
    assert search.due is not None
    low, high = (UNREACHABLE_PAUSE * factor for factor in REPAIR_SPREAD)
    assert low <= search.due - 1.0 <= high


def test_a_flood_of_who_repairs_is_short_at_first_and_not_for_ever() -> None:
    search = repair()
    seconds = [search.flood_seconds()]
    for _ in range(4):
        search.on_missed(MissReason.CUT, "", 1.0)
        seconds.append(search.flood_seconds())
    assert seconds == [0.3, 0.6, 1.2, 2.4, OWN_FLOOD_SECONDS]
    assert repair().flood_seconds(0.1) == pytest.approx(0.3)
    assert Search.for_repair(Random(1), 1.0, doubt=True).flood_seconds() == 0.5, (
        "the silent one is waited for"
    )
    assert repair().flood_seconds(0.4) == pytest.approx(1.2), "on slow links it can be answered"
    assert repair().flood_seconds(9.0) == OWN_FLOOD_SECONDS
    assert (begun().flood_seconds(), flooding().flood_seconds()) == (SCOPED_SECONDS, OWN_FLOOD_SECONDS)


def test_a_search_is_vain_when_it_has_asked_the_neighbours_and_who_was_offered_meanwhile() -> None:
    search, unreached = repair(), repair()
    search.on_missed(MissReason.CUT, "", 1.0)
    search.on_missed(MissReason.BUSY, "", 1.1)
    search.on_missed(MissReason.DEADLINE, "", 1.2)
    assert not search.is_vain
    search.on_missed(MissReason.CUT, "", 1.3)
    assert search.is_vain
    unreached.on_missed(MissReason.CUT, "", 1.0, unreachable=True)
    assert not unreached.is_vain
    unreached.on_missed(MissReason.CUT, "", 1.3, unreachable=True)
    assert unreached.is_vain, "its pauses are long"


def test_somebody_new_to_ask_makes_the_next_flood_come_at_once() -> None:
    search = repair()
    search.hurry(1.0)
    assert search.due is None, "a flood is under way"
    search.on_missed(MissReason.CUT, "", 1.0)
    search.hurry(1.01)
    assert search.due == 1.01


def test_a_search_is_printed_with_its_request_and_its_tries() -> None:
    search = begun()
    assert repr(search) == f"<Search request={search.request.hex()} tries=0>"


def test_what_passes_by_itself_is_asked_for_again_when_the_miss_says_so_as_often_as_patience_lasts() -> None:
    search, now = begun(patience=60.0), 0.0
    for _ in range(10 * MAX_TRIES):
        assert search.on_missed(MissReason.CUT, "preparing 43 %", now, retry_ms=1_500) is None
        again(search, now + 1.49, now + 1.5)
        now += 1.5
    failure = search.on_missed(MissReason.CUT, "preparing 99 %", 60.0, retry_ms=1_500)
    assert failure is not None
    assert (failure.passes, failure.text) == (True, "preparing 99 %")


def test_the_last_look_is_at_the_very_end_of_the_patience() -> None:
    search = begun(patience=10.0)
    assert search.on_missed(MissReason.CUT, "preparing", 8.0, retry_ms=5_000) is None
    again(search, 9.99, 10.0)


@pytest.mark.parametrize(("told", "pause"), [(1, LEAST_TOLD_PAUSE), (2**32 - 1, LONGEST_TOLD_PAUSE)])
def test_no_miss_makes_anybody_hammer_or_sleep(told: int, pause: float) -> None:
    search = begun(patience=1_000.0)
    assert search.on_missed(MissReason.CUT, "preparing", 0.0, retry_ms=told) is None
    again(search, pause - 0.01, pause)


def test_failures_before_a_wait_are_forgotten() -> None:
    search, now = begun(patience=100.0), 0.0
    for _ in range(3):
        for _ in range(MAX_TRIES - 1):
            assert search.on_missed(MissReason.CUT, "", now) is None
            now += LONGEST_PAUSE
            assert search.begin(now) is not None
        assert search.on_missed(MissReason.CUT, "preparing", now, retry_ms=1_000) is None
        now += 1.0
        assert search.begin(now) is not None
