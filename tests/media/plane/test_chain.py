"""Repair over chains of lossy hops, in simulated time: what must not be missing at the viewer.

The same seeds lose the same datagrams each time. Each row was also run for 120 s with other seeds.
"""

import random

import pytest

from mcast.overlay.events import Feed
from mcast.wire.train import Train
from media.plane.chain import Clock, Descendant, Link, Sender, Source, run_chain

SECONDS = 15.0


def test_a_clean_chain_repeats_nothing() -> None:
    result = run_chain(1, hops=4, loss=0.0, latency=0.1, seconds=5.0)
    assert result.sent > 2_000
    assert result.missing == 0
    assert result.surplus == (0.0,) * 4
    assert all(counters.nack_sent == 0 for counters in result.counters)


@pytest.mark.parametrize(
    ("hops", "loss", "latency", "surplus"),
    [(4, 0.10, 0.5, 0.16), (4, 0.25, 1.0, 0.52), (3, 0.10, 0.22, 0.16)],
    ids=["10 % on 4 hops, 500 ms", "25 % on 4 hops, 1 s", "10 % on 3 hops, 220 ms"],
)
def test_nothing_is_missing_though_each_hop_loses_both_ways(
    hops: int, loss: float, latency: float, surplus: float
) -> None:
    result = run_chain(2, hops=hops, loss=loss, latency=latency, seconds=SECONDS)
    assert result.missing == 0
    assert max(result.surplus) < surplus  # of which loss / (1 - loss) cannot be helped
    assert all(counters.lost == 0 for counters in result.counters)
    assert max(result.back) < 150_000  # bit/s


@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_nothing_is_missing_when_a_link_drops_everything_for_200_ms(loss: float) -> None:
    result = run_chain(
        3, hops=4, loss=loss, latency=0.5, seconds=8.0, dead=lambda hop, now: hop == 1 and 2 <= now % 4 < 2.2
    )
    assert result.missing == 0
    assert max(counters.longest_gap_ms for counters in result.counters) < 260
    assert Feed.SILENT not in result.states[1]


def test_a_fast_stream_is_repaired_at_its_own_rate() -> None:
    result = run_chain(4, hops=1, loss=0.25, latency=1.0, seconds=5.0, bit_rate=20_000_000)
    assert result.sent > 9_000
    assert result.missing == 0


def test_a_round_trip_that_trembles_is_no_hindrance() -> None:
    result = run_chain(5, hops=3, loss=0.05, latency=0.5, seconds=SECONDS, jitter=0.03)
    assert result.missing == 0


def test_a_chain_that_only_loses_suspects_nobody() -> None:
    result = run_chain(6, hops=4, loss=0.25, latency=1.0, seconds=SECONDS)
    while_it_ran = [states[: states.index(Feed.FED) + 1] for states in result.states]
    assert all(Feed.SUSPECT not in states for states in while_it_ran)


@pytest.mark.parametrize("seed", range(4))
def test_a_child_that_gets_everything_is_not_taken_for_gone_where_its_reports_are_lost(seed: int) -> None:
    clock = Clock()
    link = Link(clock, random.Random(seed), delay=0.01, loss=0.0, back_loss=0.25)
    parent, child = Sender(clock), Descendant(clock, lambda _: None)
    child.join(0, parent, link)
    Source(clock, parent.push, bit_rate=200_000)
    clock.run(clock.now + 600.0)
    assert parent.lost == []
    assert child.stream.counters().nack_sent == 0
    assert link.back_bytes < 600 * 3 * 150  # hardly more reports than two a second


class Switch:
    """A child that takes a second parent, and what it got."""

    def __init__(self, *, loss: float) -> None:
        self.clock, rng = Clock(), random.Random(7)
        self.links = [Link(self.clock, rng, 0.01, loss), Link(self.clock, rng, 0.02, loss)]
        self.parents = [Sender(self.clock), Sender(self.clock)]
        self.got: list[int] = []
        self.child = Descendant(self.clock, self._take)
        self.child.join(0, self.parents[0], self.links[0])
        self.clock.run(self.clock.now + 0.5)
        self.source = Source(self.clock, self._push)

    def _push(self, train: Train) -> None:
        for parent in self.parents:
            parent.push(train)

    def _take(self, train: Train) -> None:
        self.got += range(train.first, train.next)

    def run(self, seconds: float) -> None:
        self.clock.run(self.clock.now + seconds)

    def take_second(self) -> None:
        self.child.join(1, self.parents[1], self.links[1], resume=self.child.stream.reception.wanted)

    def check(self) -> None:
        """End the stream; everything has come, and once."""
        self.source.ends = self.clock.now
        self.run(2.0)
        assert sorted(self.got) == list(range(self.source.next))


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_parent_that_dies_is_replaced_without_a_missing_number(loss: float) -> None:
    switch = Switch(loss=loss)
    switch.run(3.0)
    switch.links[0].dead = lambda _: True
    switch.run(0.2)
    assert (0, Feed.SUSPECT) in [(upstream, state) for upstream, state, _ in switch.child.told]
    switch.take_second()
    switch.run(0.3)
    switch.child.leave(0)
    switch.run(2.0)
    switch.check()
    assert switch.child.stream.counters().longest_gap_ms < 300


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_of_two_parents_the_slower_one_is_outdone_and_nothing_is_asked_of_it_twice(loss: float) -> None:
    switch = Switch(loss=loss)
    switch.run(3.0)
    switch.take_second()
    switch.run(5.0)
    assert set(switch.child.outdone) == {1}
    switch.child.leave(1)
    switch.check()


def test_a_second_parent_takes_its_time_while_the_first_delivers() -> None:
    switch = Switch(loss=0.0)
    switch.run(4.0)
    before, number = switch.links[1].sent, switch.source.next
    switch.child.join(1, switch.parents[1], switch.links[1], resume=number - 1_000)  # 2 s behind
    switch.run(1.0)
    rate = switch.source.next - number
    sent = switch.links[1].sent - before
    assert 1.5 * rate < sent < 2.2 * rate
    switch.links[0].dead = lambda _: True
    switch.run(0.5)
    assert switch.links[1].sent - before - sent > 1.3 * rate  # half a second, three to four times as fast
    switch.check()
