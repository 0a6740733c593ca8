"""Interface counters over time: what each link carried, how fast, and when it fell silent."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tools.lab.counters import Flow, Traffic

LOUD_BYTES = 2_000
"""In one interval of counting: this much is media, two datagrams of 1,370 bytes on the wire. What else
there is (a PING and its answer four times a second, reports, lists, acknowledgements) stays below, but
may for once come together in one interval: so a link carries media if it is loud in LOUD_SHARE of them."""
LOUD_SHARE = 0.25


class Sample(NamedTuple):
    """All counters at one moment."""

    at: float  # monotonic seconds
    flows: Mapping[Flow, Traffic]


class Rate(NamedTuple):
    """What entered a link within a short time."""

    at: float  # the end of that time
    bits_per_second: float


@dataclass(slots=True)
class Tally:
    """Samples in the order of time."""

    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)

    def at(self, moment: float) -> Sample:
        """Return the last sample that is not later (the first one if there is none)."""
        return self.samples[max(0, bisect_right(self.samples, moment, key=lambda sample: sample.at) - 1)]

    def between(self, start: float, end: float) -> dict[Flow, Traffic]:
        """Return what each link carried from one moment to another."""
        before, after = self.at(start).flows, self.at(end).flows
        return {flow: traffic.since(before[flow]) for flow, traffic in after.items()}

    def rates(self, flow: Flow, start: float, end: float, step: float) -> list[Rate]:
        """Return a link's rates: one for each step of time, by the bytes that entered it."""
        found: list[Rate] = []
        previous = self.at(start)
        for sample in self.samples:
            if previous.at < sample.at <= end and sample.at - previous.at >= step * 0.99:
                carried = sample.flows[flow].since(previous.flows[flow]).sent_bytes
                found.append(Rate(sample.at, carried * 8 / (sample.at - previous.at)))
                previous = sample
        return found

    def loud(self, start: float, end: float) -> set[Flow]:
        """Return the links with media between two moments: in LOUD_SHARE of the intervals at least."""
        intervals = list(self._intervals(start, end))
        counts = Counter(flow for before, after in intervals for flow in _loud(before, after))
        return {flow for flow, count in counts.items() if count >= LOUD_SHARE * len(intervals)}

    def silent_since(self, flow: Flow, start: float) -> float:
        """Return the end of the last interval in which a link carried media; `start` if that was before.

        The interval in which `start` lies counts, so this is never earlier than the truth.
        """
        last = start
        for before, after in pairwise(self.samples):
            if after.at > start and _is_loud(before, after, flow):
                last = after.at
        return last

    def _intervals(self, start: float, end: float) -> Iterable[tuple[Sample, Sample]]:
        """Return neighbouring samples; the interval in which `start` lies does not count."""
        first = bisect_right(self.samples, start, key=lambda sample: sample.at)
        inside = [sample for sample in self.samples[first:] if sample.at <= end]
        return pairwise(inside)


def _loud(before: Sample, after: Sample) -> Iterable[Flow]:
    return (flow for flow in after.flows if _is_loud(before, after, flow))


def _is_loud(before: Sample, after: Sample, flow: Flow) -> bool:
    """What is still in a slow link's queue counts, too: it is on the link."""
    carried = after.flows[flow].since(before.flows[flow])
    return max(carried.sent_bytes, carried.delivered_bytes) >= LOUD_BYTES
