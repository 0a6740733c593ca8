"""What is measured of a node's room, and when it is told."""

from collections.abc import Iterator
from dataclasses import replace

from mcast.media.incoming import NOTHING_YET, ReceiverCounters
from mcast.overlay.events import CarrierLoad, LoadMeasured, RateMeasured
from mcast.overlay.room import FULL_SHARE
from mcast.roles.node.content_relay import CarrierUse
from mcast.roles.node.room_meter import (
    CALM_SECONDS,
    DROPPING_LOOKS,
    INTERVAL,
    SETTLED,
    RoomMeter,
)

MEGABYTE = 1_000_000


class Node:
    """Contents and the processes that carry them, looked at twice a second."""

    def __init__(self, *carried: frozenset[str] | None) -> None:
        self.bytes: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self.carried = carried or (None,)
        self.used = [0.0] * len(self.carried)
        self.told: list[object] = []
        self.now = 0.0
        self.meter = RoomMeter(self, self, self.told.append)

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        for name, count in self.bytes.items():
            yield name, replace(NOTHING_YET, bytes=count, dropped=self.dropped.get(name, 0))

    def uses(self) -> tuple[CarrierUse, ...]:
        return tuple(map(CarrierUse, self.used, self.carried))

    def seconds(self, seconds: float, *shares: float, dropping: str = "", **rates: int) -> list[object]:
        """Let some seconds pass at these rates in bytes a second; return what is told."""
        self.told.clear()
        for _ in range(round(seconds / INTERVAL)):
            self.now += INTERVAL
            for name, rate in rates.items():
                self.bytes[name] = self.bytes.get(name, 0) + int(rate * INTERVAL)
            for number, share in enumerate(shares):
                self.used[number] += share * INTERVAL
            if dropping:
                self.dropped[dropping] = self.dropped.get(dropping, 0) + 1
            self.meter.on_tick(self.now)
            self.meter.on_tick(self.now + INTERVAL / 2)  # too early for another look
        return list(self.told)

    def loads(self, seconds: float, *shares: float, dropping: str = "", **rates: int) -> list[LoadMeasured]:
        """Let some seconds pass; return what is told of the processes."""
        told = self.seconds(seconds, *shares, dropping=dropping, **rates)
        return [event for event in told if isinstance(event, LoadMeasured)]

    def is_strained(self, *args: float, dropping: str = "", **rates: int) -> bool:
        """Let some seconds pass; return whether the first process is strained then."""
        loads = self.loads(*args, dropping=dropping, **rates)
        return bool(loads and loads[-1].carriers and loads[-1].carriers[0].is_strained)


def test_a_rate_is_told_once_it_is_known_and_again_when_it_has_changed() -> None:
    node = Node()
    assert node.seconds(SETTLED, news=MEGABYTE) == []
    assert node.seconds(5, news=MEGABYTE) == [RateMeasured("news", 8 * MEGABYTE)]
    later = node.seconds(8, news=2 * MEGABYTE)
    assert later[-1] == RateMeasured("news", 16 * MEGABYTE)


def test_what_a_new_child_is_sent_of_the_history_is_no_part_of_the_rate() -> None:
    node = Node()
    node.seconds(2.5, news=4 * MEGABYTE)  # it catches up
    assert node.seconds(9, news=MEGABYTE) == [RateMeasured("news", 8 * MEGABYTE)]


def test_the_time_before_the_first_media_is_no_part_of_it_either() -> None:
    node = Node()
    node.seconds(20, news=0)
    assert node.seconds(SETTLED, news=MEGABYTE) == []
    assert node.seconds(5, news=MEGABYTE) == [RateMeasured("news", 8 * MEGABYTE)]


def test_a_content_that_is_no_more_is_forgotten() -> None:
    node = Node()
    node.seconds(6, news=MEGABYTE, sea=MEGABYTE)
    del node.bytes["news"]
    assert node.seconds(0.5, sea=MEGABYTE) == [RateMeasured("news", 0)]


def test_a_process_is_told_of_as_long_as_it_is_busy_and_once_when_it_is_no_more() -> None:
    node = Node()
    assert node.loads(5, 0.5) == []
    busy = node.loads(5, 0.7, news=0)
    assert busy[-1] == LoadMeasured((CarrierLoad(("news",), 0.7),))
    assert node.loads(5, 0.2, news=0)[-1] == LoadMeasured(())
    assert node.loads(5, 0.2, news=0) == []


def test_the_time_of_all_threads_counts_whatever_each_of_them_has_had() -> None:
    node = Node()
    (*_, last) = node.loads(5, 0.6 + 0.4, news=0)
    assert last.carriers[0].share == 1.0, "one that forwards, and one that reads reports"


def test_a_crowd_that_passes_makes_a_process_busy_for_a_moment_at_most() -> None:
    node = Node()
    for _ in range(5):
        node.loads(4, 0.1, news=0)
        told = node.loads(2, 1.0, news=0)
        assert max((load.carriers[0].share for load in told), default=0.0) < FULL_SHARE


def test_each_process_is_told_of_with_what_it_carries() -> None:
    node = Node(frozenset({"news"}), frozenset({"sea", "sun"}))
    (*_, last) = node.loads(5, 0.95, 0.1, news=0, sea=0, sun=0)
    assert last == LoadMeasured((CarrierLoad(("news",), 0.95), CarrierLoad(("sea", "sun"), 0.1)))


def test_what_a_full_buffer_drops_is_strain_although_the_process_has_time() -> None:
    node = Node(frozenset({"sea"}), frozenset({"news"}))
    node.dropped["news"] = 7  # before anybody looked
    assert node.loads(5, 0.1, 0.1, news=0, sea=0) == []
    (told,) = node.loads(DROPPING_LOOKS * INTERVAL, 0.1, 0.1, dropping="news", news=0, sea=0)
    assert [carrier.is_strained for carrier in told.carriers] == [False, True]
    assert node.loads(CALM_SECONDS + INTERVAL, 0.1, 0.1, news=0, sea=0)[-1] == LoadMeasured(())


def test_it_need_not_drop_all_the_time() -> None:
    node = Node()
    node.loads(1, 0.1, news=0)
    for _ in range(DROPPING_LOOKS - 1):
        assert not node.is_strained(INTERVAL, 0.1, dropping="news", news=0)
        assert not node.is_strained(3, 0.1, news=0)
    assert node.is_strained(INTERVAL, 0.1, dropping="news", news=0)


def test_a_buffer_that_was_full_once_is_no_strain() -> None:
    node = Node()
    node.loads(5, 0.1, news=0)
    assert not node.is_strained(INTERVAL, 0.1, dropping="news", news=0)
    for _ in range(5):
        assert not node.is_strained(11, 0.1, news=0)
        assert not node.is_strained(INTERVAL, 0.1, dropping="news", news=0)
