"""What is measured of a node's room, and when it is told."""

from collections.abc import Iterator
from dataclasses import replace

from mcast.media.incoming import NOTHING_YET, ReceiverCounters
from mcast.overlay.events import RateMeasured, Strained
from mcast.roles.node.room_meter import STRAINED_LOOKS, RoomMeter

MEGABYTE = 1_000_000


class Node:
    """Contents and threads, looked at once a second."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self.dropped = 0
        self.busy: list[float] = []
        self.told: list[object] = []
        self.now = 0.0
        self.meter = RoomMeter(self, self, self.told.append)

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        for name, count in self.bytes.items():
            yield name, replace(NOTHING_YET, bytes=count, dropped=self.dropped)

    def busy_seconds(self) -> tuple[float, ...]:
        return tuple(self.busy)

    def seconds(self, count: int, *shares: float, **rates: int) -> list[object]:
        """Let some seconds pass at these rates in bytes a second; return what is told."""
        self.told.clear()
        for _ in range(count):
            self.now += 1.0
            for name, rate in rates.items():
                self.bytes[name] = self.bytes.get(name, 0) + rate
            self.busy = [
                busy + share for busy, share in zip([*self.busy, 0.0, 0.0], shares, strict=False)
            ] or self.busy
            self.meter.on_tick(self.now)
            self.meter.on_tick(self.now + 0.5)  # too early for another look
        return list(self.told)


def test_a_rate_is_told_once_it_is_known_and_again_when_it_has_changed() -> None:
    node = Node()
    assert node.seconds(1, news=MEGABYTE) == []
    assert node.seconds(5, news=MEGABYTE) == [RateMeasured("news", 8 * MEGABYTE)]
    later = node.seconds(8, news=2 * MEGABYTE)
    assert later[-1] == RateMeasured("news", 16 * MEGABYTE)


def test_a_content_that_is_no_more_is_forgotten() -> None:
    node = Node()
    node.seconds(3, news=MEGABYTE, sea=MEGABYTE)
    del node.bytes["news"]
    assert node.seconds(1, sea=MEGABYTE) == [RateMeasured("news", 0)]


def test_threads_that_stay_busy_are_told_and_so_is_their_relief() -> None:
    node = Node()
    assert node.seconds(1, 0.9, 0.1) == []
    assert node.seconds(STRAINED_LOOKS, 0.9, 0.1) == [Strained(is_strained=True)]
    assert node.seconds(3, 0.7, 0.1) == []
    assert node.seconds(2, 0.3, 0.1) == [Strained(is_strained=False)]


def test_a_crowd_that_passes_is_no_strain() -> None:
    node = Node()
    for _ in range(5):
        assert node.seconds(STRAINED_LOOKS - 1, 1.0, 0.1) == []
        assert node.seconds(1, 0.1, 0.1) == []


def test_what_a_full_buffer_drops_is_strain_although_the_threads_have_time() -> None:
    node = Node()
    node.dropped = 7  # before anybody looked
    assert node.seconds(5, 0.1, 0.1, news=MEGABYTE) == [RateMeasured("news", 8 * MEGABYTE)]
    told: list[object] = []
    for _ in range(STRAINED_LOOKS):
        node.dropped += 1
        told += node.seconds(1, 0.1, 0.1, news=MEGABYTE)
    assert told == [Strained(is_strained=True)]
    assert node.seconds(1, 0.1, 0.1, news=MEGABYTE) == [Strained(is_strained=False)]


def test_a_buffer_that_was_full_once_is_no_strain() -> None:
    node = Node()
    node.seconds(5, 0.1, news=MEGABYTE)
    node.dropped += 100
    assert node.seconds(5, 0.1, news=MEGABYTE) == []
