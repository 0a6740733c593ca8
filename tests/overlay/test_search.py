"""A search: when it floods again, under which id, and when it gives up."""

from random import Random

import pytest

from mcast.overlay.search import BUSY_PAUSE, MAX_TRIES, RETRY_PAUSE, UNREACHABLE_PAUSE, Search
from mcast.wire.node import MissReason


def begun(patience: float = 10.0, now: float = 0.0) -> Search:
    search = Search(Random(1), now, patience)
    assert search.begin(now) is not None
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


@pytest.mark.parametrize(
    "reason", set(MissReason) - {MissReason.ABSENT, MissReason.BUSY}, ids=lambda r: r.name
)
def test_any_other_reason_is_tried_three_times_with_longer_pauses(reason: MissReason) -> None:
    search, now = begun(), 0.0
    for tried in range(MAX_TRIES - 1):
        pause = RETRY_PAUSE * 2**tried
        assert search.on_missed(reason, "", now) is None
        again(search, now + pause - 0.01, now + pause)
        now += pause
    failure = search.on_missed(reason, "why", now)
    assert failure is not None
    assert (failure.reason, failure.tries, failure.unreachable) == (reason, MAX_TRIES, False)


def test_no_try_begins_after_its_time() -> None:
    failure = begun(patience=1.0).on_missed(MissReason.BUSY, "", 1.0)
    assert failure is not None
    assert failure.reason is MissReason.BUSY


def test_it_shows_where_it_stands() -> None:
    search = begun()
    assert repr(search) == f"<Search request={search.request.hex()} tries=0>"
