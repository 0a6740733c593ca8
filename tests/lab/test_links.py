"""What links do to real packets, on every kind of link that this kernel can have.

`pytest -s tests/lab/test_links.py` prints the measured figures (docs/lab.md quotes them).
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import groupby, pairwise
from statistics import median, quantiles

import pytest

from lab.traffic import OVERHEAD, Arrival, arrivals_of, exchange, measured, receive, send, sockets, trains
from tools.lab.counters import Flow
from tools.lab.lab import Lab
from tools.lab.topology import Scenario

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("nothing_is_left")]

StartLab = Callable[..., Lab]


@pytest.fixture
def shaped(start_lab: StartLab, pair: Scenario, carrier: str) -> Lab:
    """Two hosts, a and b, whose link can be shaped."""
    return start_lab(pair, carrier=carrier)


@pytest.mark.parametrize("delay_ms", [5, 50, 500])
@measured
def test_delay_is_within_two_milliseconds(shaped: Lab, delay_ms: int) -> None:
    shaped.shape("a-b", delay_us=delay_ms * 1000)
    delays = [arrival.delay_ms for arrival in exchange(shaped, 200, interval=0.005)]
    low, *_, high = quantiles(delays, n=20)
    print(f"delay {delay_ms} ms: median {median(delays):.2f}, 5 % {low:.2f}, 95 % {high:.2f}")
    assert len(delays) == 200
    assert min(delays) >= delay_ms - 0.1
    assert median(delays) == pytest.approx(delay_ms, abs=2)


@measured
def test_delay_holds_while_the_machine_is_busy(shaped: Lab) -> None:
    shaped.shape("a-b", delay_us=20_000)
    loops = [
        shaped.popen("a", [sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    delays = [arrival.delay_ms for arrival in exchange(shaped, 300, interval=0.005)]
    for loop in loops:
        loop.kill()
    high = quantiles(delays, n=20)[-1]
    print(f"delay 20 ms beside {os.cpu_count()} busy loops: median {median(delays):.2f}, 95 % {high:.2f}")
    assert median(delays) == pytest.approx(20, abs=2)


@measured
def test_a_link_can_differ_by_direction(shaped: Lab) -> None:
    shaped.shape("a-b", towards="b", delay_us=40_000)
    there = median(arrival.delay_ms for arrival in exchange(shaped, 50, interval=0.005))
    back = median(
        arrival.delay_ms for arrival in exchange(shaped, 50, interval=0.005, sender="b", receiver="a")
    )
    assert there == pytest.approx(40, abs=2)
    assert back == pytest.approx(0, abs=2)


@measured
def test_jitter_spreads_delays_and_keeps_the_order(shaped: Lab) -> None:
    shaped.shape("a-b", delay_us=30_000, jitter_us=10_000)
    arrivals = exchange(shaped, 300, interval=0.002)
    delays = sorted(arrival.delay_ms for arrival in arrivals)
    assert [arrival.number for arrival in arrivals] == list(range(300))
    assert delays[0] >= 19.9
    assert delays[-10] <= 42
    assert delays[-10] - delays[10] > 8


@measured
def test_jitter_reorders_when_asked(shaped: Lab) -> None:
    shaped.shape("a-b", delay_us=30_000, jitter_us=10_000, reorder=True)
    numbers = [arrival.number for arrival in exchange(shaped, 200, interval=0.001)]
    assert sum(later < earlier for earlier, later in pairwise(numbers)) > 20


@measured
def test_loss_has_the_wanted_share(shaped: Lab) -> None:
    shaped.shape("a-b", loss=20.0)
    lost = 1 - len(exchange(shaped, 4000, interval=0.0002)) / 4000
    print(f"loss 20 %: {lost:.2%}")
    assert lost == pytest.approx(0.2, abs=0.026)  # four standard deviations


@measured
def test_loss_comes_in_bursts_of_the_wanted_length(shaped: Lab) -> None:
    shaped.shape("a-b", loss=20.0, loss_burst=5.0)
    arrived = {arrival.number for arrival in exchange(shaped, 5000, interval=0.0002)}
    runs = [len(list(run)) for there, run in groupby(range(5000), lambda n: n in arrived) if not there]
    mean = sum(runs) / len(runs)
    print(f"loss 20 % in bursts of 5: {sum(runs) / 5000:.2%} in bursts of {mean:.2f}")
    assert sum(runs) / 5000 == pytest.approx(0.2, abs=0.07)
    assert mean == pytest.approx(5, rel=0.3)


def test_duplicates_arrive_twice(shaped: Lab) -> None:
    shaped.shape("a-b", duplicate=100.0)
    numbers = [arrival.number for arrival in exchange(shaped, 50, interval=0.001)]
    assert sorted(numbers) == sorted([*range(50), *range(50)])


@pytest.mark.parametrize("rate", [256_000, 2_000_000, 20_000_000])
@measured
def test_rate_is_within_five_percent(shaped: Lab, rate: int) -> None:
    shaped.shape("a-b", rate=rate, buffer=2000)
    count = 10 + rate // 20_000  # each of 10,000 bits or so
    arrivals = exchange(shaped, count, size=1250 - OVERHEAD)
    seconds = (arrivals[-1].received - arrivals[0].received) / 1e9
    measured = (len(arrivals) - 1) * 1250 * 8 / seconds
    print(f"rate {rate / 1e6:g} Mbit/s: {measured / 1e6:.3f}")
    assert len(arrivals) == count
    assert measured == pytest.approx(rate, rel=0.05)


@measured
def test_the_queue_has_the_wanted_length(shaped: Lab) -> None:
    shaped.shape("a-b", rate=1_000_000, buffer=20)
    numbers = [arrival.number for arrival in exchange(shaped, 200, size=1000)]
    print(f"queue of 20: {len(numbers)} of a burst of 200 arrive")
    assert numbers[:20] == list(range(20))
    assert len(numbers) <= 24  # some leave while the burst still comes


@measured
def test_cores_own_queue_limits_packets_in_flight(shaped: Lab) -> None:
    shaped.shape("a-b", rate=256_000, delay_us=500_000)
    assert len(exchange(shaped, 100, size=1316 + 12)) == 22


@measured
def test_half_the_datagrams_of_a_train_are_lost_and_not_whole_trains(shaped: Lab) -> None:
    shaped.shape("a-b", loss=50.0)
    with sockets(shaped) as (out, into):
        trains(out, count=60, segments=20, size=1000)
        arrived = [arrival.number for arrival in receive(into)]
    broken = [first for first in range(0, 1200, 20) if 0 < sum(first <= n < first + 20 for n in arrived) < 20]
    print(f"50 % loss broke {len(broken)} of 60 trains of 20 datagrams; {len(arrived)} of 1200 arrived")
    assert len(broken) >= 58
    assert len(arrived) == pytest.approx(600, abs=70)


@measured
def test_trains_cross_a_plain_link_whole_and_a_shaped_one_in_pieces(shaped: Lab) -> None:
    flow = Flow("a-b", "a", "b")
    shaped.shape("a-b", delay_us=0)
    with sockets(shaped) as (out, into):
        before = shaped.counters()[flow]
        trains(out, count=20, segments=20, size=1000)
        plain = shaped.counters()[flow]
        shaped.shape("a-b", delay_us=1000)
        trains(out, count=20, segments=20, size=1000)
        receive(into)
        cut_up = shaped.counters()[flow]
    assert plain.since(before).delivered_packets == pytest.approx(20, abs=8)  # a train counts once
    assert cut_up.since(plain).delivered_packets == pytest.approx(400, abs=8)


@measured
def test_one_process_carries_20_000_packets_a_second(start_lab: StartLab, pair: Scenario) -> None:
    lab = start_lab(pair, carrier="tap")
    lab.shape("a-b", delay_us=5_000, buffer=10_000)
    offer = partial(trains, count=5000, segments=10, size=200, interval=0.0004)  # 25,000/s for 2 s
    arrivals = arrivals_of(lab, offer)
    delay, rate = median(arrival.delay_ms for arrival in arrivals), _per_second(arrivals)
    print(f"25,000 packets/s offered: {len(arrivals)} of 50,000, {rate:.0f}/s, median {delay:.2f} of 5 ms")
    assert len(arrivals) >= 49_500
    assert rate >= 20_000
    assert delay == pytest.approx(5, abs=2)


def _per_second(arrivals: list[Arrival]) -> float:
    return len(arrivals) / ((arrivals[-1].received - arrivals[0].received) / 1e9)


def test_a_cut_is_silent_and_healing_brings_everything_back(shaped: Lab) -> None:
    routes = shaped.run("a", ["ip", "route"]).stdout
    for _ in ("plain", "shaped"):
        with sockets(shaped) as (out, into):
            shaped.cut("b-a")
            send(out, 20)
            assert receive(into, first=0.3) == []
            assert "state UP" in shaped.run("a", ["ip", "link", "show", "eth0"]).stdout
            shaped.heal("a-b")
            send(out, 20)
            assert len(receive(into)) == 20
        assert shaped.run("a", ["ip", "route"]).stdout == routes
        shaped.shape("a-b", delay_us=10_000)


@measured
def test_shaping_and_back_keeps_addresses_and_neighbours(shaped: Lab) -> None:
    shaped.shape("a-b", delay_us=0)
    assert median(arrival.delay_ms for arrival in exchange(shaped, 20)) < 2
    before = shaped.run("a", ["ip", "-o", "addr"]).stdout
    shaped.shape("a-b", delay_us=20_000)
    assert median(arrival.delay_ms for arrival in exchange(shaped, 20)) == pytest.approx(20, abs=2)
    shaped.shape("a-b", delay_us=0)
    assert median(arrival.delay_ms for arrival in exchange(shaped, 20)) < 2
    assert (
        shaped.run("a", ["ip", "-o", "addr"]).stdout.count("10.9.0.1/24") == before.count("10.9.0.1/24") == 1
    )


@measured
def test_counters_tell_what_was_sent_and_what_was_delivered(shaped: Lab) -> None:
    shaped.shape("a-b", towards="b", loss=100.0)
    before = shaped.counters()
    assert exchange_nothing(shaped, 100) == []
    traffic = shaped.counters()[Flow("a-b", "a", "b")].since(before[Flow("a-b", "a", "b")])
    assert traffic.sent_packets == pytest.approx(100, abs=10)  # and some neighbour discovery
    assert traffic.sent_bytes == pytest.approx(100 * (1000 + OVERHEAD), abs=1500)
    assert traffic.delivered_bytes == 0


def exchange_nothing(lab: Lab, count: int) -> list[object]:
    with sockets(lab) as (out, into):
        send(out, count, size=1000)
        return list(receive(into, first=0.3))
