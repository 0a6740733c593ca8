"""The packet scheduler: packets and times in, deliveries out."""

from itertools import groupby, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.lab.impairment import Direction, Schedule
from tools.lab.options import LinkOptions

MS = 1_000_000
PACKET = bytes(1250)  # 10,000 bits


def direction(seed: int = 1, **options: float | bool) -> Direction:
    return Direction(LinkOptions(**options), Random(seed), outlet=7)  # type: ignore[arg-type]


def deliveries(link: Direction, entries: list[int], packet: bytes = PACKET) -> list[tuple[int, int]]:
    """Send a packet at each time; return (its number, when it is delivered), in order of delivery."""
    schedule, out = Schedule(), []
    times = {}
    for number, now in enumerate(entries):
        out += drain(schedule, now)
        times[number] = now
        schedule.enter(link, number.to_bytes(4, "big") + packet[4:], now)
    return out + drain(schedule, None)


def drain(schedule: Schedule, until: int | None) -> list[tuple[int, int]]:
    out = []
    while (due := schedule.next_due()) is not None and (until is None or due <= until):
        out += [(int.from_bytes(packet[:4], "big"), due) for _, packet in schedule.leave(due)]
    return out


def test_a_plain_direction_delivers_at_once() -> None:
    assert deliveries(direction(), [5, 6]) == [(0, 5), (1, 6)]


def test_delay_is_added_to_the_time_of_entry() -> None:
    assert deliveries(direction(delay_us=20_000), [0, 3 * MS]) == [(0, 20 * MS), (1, 23 * MS)]


def test_a_rate_spaces_packets_by_their_length() -> None:
    assert deliveries(direction(rate=1_000_000), [0, 0, 50 * MS]) == [
        (0, 10 * MS),
        (1, 20 * MS),
        (2, 60 * MS),
    ]


def test_delay_comes_before_serialisation_as_in_netem() -> None:
    link = direction(rate=1_000_000, delay_us=100_000)
    assert deliveries(link, [0, 1 * MS]) == [(0, 110 * MS), (1, 120 * MS)]


def test_a_full_queue_drops_what_comes_and_counts_packets_on_their_way() -> None:
    link = direction(delay_us=100_000, buffer=3)
    assert [number for number, _ in deliveries(link, [0, 0, 0, 0, 50 * MS, 100 * MS])] == [0, 1, 2, 5]


def test_core_gives_a_slow_long_link_22_packets() -> None:
    link = direction(rate=256_000, delay_us=500_000)
    assert len(deliveries(link, [0] * 100)) == 22


def test_jitter_stays_within_its_bounds_and_keeps_the_order() -> None:
    entries = [number * MS for number in range(1000)]
    arrived = deliveries(direction(delay_us=20_000, jitter_us=5_000), entries)
    assert [number for number, _ in arrived] == list(range(1000))
    delays = [due - entries[number] for number, due in arrived]
    assert 15 * MS <= min(delays) < max(delays) <= 25 * MS


def test_jitter_may_reorder_when_asked_but_never_with_a_rate() -> None:
    entries = [number * MS for number in range(200)]
    free = deliveries(direction(delay_us=20_000, jitter_us=5_000, reorder=True), entries)
    limited = deliveries(direction(delay_us=20_000, jitter_us=5_000, reorder=True, rate=10**9), entries)
    assert [number for number, _ in free] != list(range(200)) == [number for number, _ in limited]


def test_jitter_above_the_delay_never_delivers_before_entry() -> None:
    entries = [number * 10 * MS for number in range(300)]
    arrived = deliveries(direction(delay_us=1_000, jitter_us=5_000), entries)
    assert all(due >= entries[number] for number, due in arrived)


@pytest.mark.parametrize("loss", [1.0, 20.0, 50.0])
def test_independent_losses_have_the_wanted_share(loss: float) -> None:
    lost = 1 - len(deliveries(direction(loss=loss), list(range(40_000)), PACKET[:60])) / 40_000
    assert lost == pytest.approx(loss / 100, abs=0.011)


@pytest.mark.parametrize(("loss", "burst"), [(5.0, 4.0), (30.0, 10.0)])
def test_burst_losses_have_the_wanted_share_and_mean_length(loss: float, burst: float) -> None:
    total = 100_000
    arrived = {number for number, _ in deliveries(direction(loss=loss, loss_burst=burst), list(range(total)))}
    runs = [len(list(run)) for there, run in groupby(range(total), lambda n: n in arrived) if not there]
    assert sum(runs) / total == pytest.approx(loss / 100, rel=0.1)
    assert sum(runs) / len(runs) == pytest.approx(burst, rel=0.1)


def test_everything_is_lost_at_100_percent_also_in_bursts() -> None:
    assert deliveries(direction(loss=100.0), [1, 2, 3]) == []
    assert len(deliveries(direction(loss=100.0, loss_burst=5.0), list(range(100)))) <= 1


def test_equal_seeds_lose_the_same_packets_and_others_do_not() -> None:
    first, again, other = (deliveries(direction(seed, loss=50.0), [0] * 100) for seed in (1, 1, 2))
    assert first == again != other


def test_duplicates_arrive_as_copies() -> None:
    assert deliveries(direction(duplicate=100.0), [5]) == [(0, 5), (0, 5)]


def test_a_new_shape_holds_for_new_packets_which_do_not_overtake_old_ones() -> None:
    schedule, link = Schedule(), direction(delay_us=100_000)
    schedule.enter(link, b"old", 0)
    link.shape(LinkOptions())
    schedule.enter(link, b"new", 1)
    assert [packet for _, packet in schedule.leave(100 * MS)] == [b"old", b"new"]


options = st.builds(
    LinkOptions,
    delay_us=st.integers(0, 10**6),
    jitter_us=st.integers(0, 10**6),
    rate=st.one_of(st.just(0), st.integers(1_000, 10**9)),
    loss=st.floats(0, 90),
    duplicate=st.floats(0, 100),
    buffer=st.integers(0, 50),
    loss_burst=st.just(1.0) | st.floats(10, 100),
)


@given(options, st.lists(st.integers(0, 10 * MS), max_size=60), st.integers())
def test_whatever_the_options_order_queue_and_causality_hold(
    option: LinkOptions, gaps: list[int], seed: int
) -> None:
    entries = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    link = Direction(option, Random(seed), outlet=0)
    arrived = deliveries(link, entries)
    assert link.inside == 0
    assert all(a <= b for a, b in pairwise(number for number, _ in arrived))
    assert all(
        due >= entries[number] + max(0, option.delay_us - option.jitter_us) * 1000 for number, due in arrived
    )
    assert len(arrived) <= 2 * len(entries)
