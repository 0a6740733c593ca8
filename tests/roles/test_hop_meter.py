"""What is measured of the hop from each parent, and when it is told."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mcast.media.parent import ParentCounters
from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import Feed, HopMeasured
from mcast.roles.node.hop_meter import WINDOW, HopMeter

NOTHING = ParentCounters(
    state=Feed.FED, datagrams=0, new=0, lost=0, skipped=0, next=0, jitter_ms=0.0, round_trip_ms=None
)


class Relays:
    """One content with one parent."""

    def __init__(self) -> None:
        self.counters = NOTHING

    def parents(self) -> Iterable[Mapping[UpstreamId, ParentCounters]]:
        return [{7: self.counters}]


def measured(*looks: ParentCounters) -> list[object]:
    """Return what is told in the course of some looks, one second apart."""
    relays, told = Relays(), list[object]()
    meter = HopMeter(relays, told.append)
    for second, relays.counters in enumerate(looks):
        meter.on_tick(float(second))
        meter.on_tick(second + 0.5)  # too early for another look
    return told


def stream(next_number: int, skipped: int = 0, round_trip_ms: float | None = 40.0) -> ParentCounters:
    return replace(NOTHING, next=next_number, skipped=skipped, round_trip_ms=round_trip_ms)


def test_nothing_is_told_before_a_round_trip_is_known() -> None:
    assert measured(stream(0, round_trip_ms=None), stream(400, round_trip_ms=None)) == []


def test_a_hop_is_told_once_and_again_when_it_has_changed_clearly() -> None:
    looks = [stream(400), stream(800), stream(1200, round_trip_ms=44.0), stream(1600, round_trip_ms=90.0)]
    assert measured(*looks) == [HopMeasured(7, 20, 0), HopMeasured(7, 45, 0)]


def test_losses_are_those_of_the_last_looks_and_are_over_some_time_later() -> None:
    lossy = [stream(1000 + 400 * at, skipped=40 * at) for at in range(WINDOW + 1)]
    after = [stream(5000 + 400 * at, skipped=40 * WINDOW) for at in range(WINDOW + 2)]
    told = measured(*lossy, *after)
    assert HopMeasured(7, 20, 100) in told
    assert told[-1] == HopMeasured(7, 20, 0)
