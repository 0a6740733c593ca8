"""How long media takes from the server, by the server's clock: over chains in simulated time, and alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.delay import FRESH_SECONDS, LONGEST_DELAY, EndToEnd, Passage, as_told
from mcast.wire.rtcp import Origin, ntp_from_unix
from mcast.wire.rtp import CLOCK_RATE
from media.plane.chain import Clock, Descendant, Link, Sender, Source

WALL = 1_700_000_000.0
PRECISION = 0.005  # what pacing makes uncertain


class Chain:
    """A server, and relays below each other; the last child is a viewer."""

    def __init__(
        self, delays: list[float], *, fast: float = 0.0, loss: float = 0.0, bit_rate: int = 5_000_000,
        old: int | None = None,
    ) -> None:  # fmt: skip
        """`fast` is the viewer's clock; the relay `old` hands on nothing that it does not know."""
        self.clock = Clock()
        self.senders = [Sender(self.clock)]
        self.children: list[Descendant] = []
        for hop, delay in enumerate(delays):
            link = Link(self.clock, random.Random(hop), delay, loss)
            is_last = hop == len(delays) - 1
            child = Descendant(self.clock, lambda train, hop=hop: self._below(hop, train), fast * is_last)  # type: ignore[misc]
            child.join(0, self.senders[-1], link)
            self.children.append(child)
            is_old = hop == old
            self.senders.append(
                Sender(self.clock, (lambda _: None) if is_old else child.stream.end_to_end.origin)
            )
        self.clock.run(self.clock.now + 0.5)
        Source(self.clock, self.senders[0].push, bit_rate)

    def _below(self, hop: int, train: object) -> None:
        self.senders[hop + 1].push(train)  # type: ignore[arg-type]

    def run(self, seconds: float) -> list[float | None]:
        """Let time pass; return the delay to each child."""
        self.clock.run(self.clock.now + seconds)
        return [child.stream.delay(self.clock.now) for child in self.children]


@pytest.mark.parametrize("bit_rate", [300_000, 5_000_000, 20_000_000])
def test_each_hop_knows_how_long_media_takes_from_the_server_whatever_relays_are_between(
    bit_rate: int,
) -> None:
    delays = Chain([0.01, 0.035, 0.002], bit_rate=bit_rate).run(4.0)
    assert delays == pytest.approx([0.01, 0.045, 0.047], abs=PRECISION)


def test_who_joins_late_knows_it_soon_however_old_the_media_was_that_it_began_with() -> None:
    chain = Chain([0.01])
    (sender, below), clock = chain.senders, chain.clock
    chain.run(0.9)
    late = Descendant(clock, below.push)
    late.join(1, sender, Link(clock, random.Random(1), 0.02, 0.0))
    clock.run(clock.now + 3.0)
    assert late.stream.delay(clock.now) == pytest.approx(0.02, abs=PRECISION)


def test_what_is_lost_and_sent_again_makes_no_delay() -> None:
    delays = Chain([0.01, 0.02], loss=0.05, bit_rate=1_000_000).run(4.0)
    assert delays == pytest.approx([0.01, 0.03], abs=PRECISION)


@pytest.mark.parametrize("fast", [-3.0, 0.5])
def test_a_clock_that_is_wrong_is_in_the_delay_of_its_own_host_alone(fast: float) -> None:
    delays = Chain([0.01, 0.02], fast=fast).run(4.0)
    assert delays == pytest.approx([0.01, 0.03 + fast], abs=PRECISION)


def test_a_child_tells_its_parent_its_delay() -> None:
    chain = Chain([0.01, 0.02])
    chain.run(4.0)
    told = [child.snapshot().delay_us for sender in chain.senders for child in sender.children.children()]
    assert told == pytest.approx([10_000, 30_000], abs=PRECISION * 1e6)


def test_below_a_relay_of_an_older_version_nobody_knows_it() -> None:
    known, old, below = Chain([0.01, 0.01, 0.01], old=1).run(4.0)
    assert [known, old] == pytest.approx([0.01, 0.02], abs=PRECISION)
    assert below is None


def test_nothing_is_known_before_the_server_has_told_and_when_it_has_told_no_more_for_a_minute() -> None:
    way = EndToEnd()
    way.passage.note(90_000, 10.0)
    assert way.seconds(10.0, WALL) is None
    way.tell(Origin(ntp_from_unix(WALL - 0.25), 90_000), 10.0)
    assert way.seconds(10.0, WALL) == pytest.approx(0.25)
    assert way.seconds(10.0 + FRESH_SECONDS, WALL + FRESH_SECONDS) is None
    assert way.origin(10.0 + FRESH_SECONDS) is None


@pytest.mark.parametrize("ahead", [LONGEST_DELAY + 1, -LONGEST_DELAY - 1, 13.5 * 3600, WALL])
def test_a_clock_that_was_never_set_gives_no_delay(ahead: float) -> None:
    way = EndToEnd()
    way.passage.note(90_000, 10.0)
    way.tell(Origin(ntp_from_unix(WALL), 90_000), 10.0)
    assert way.seconds(10.0, WALL - ahead) is None


def test_a_child_that_has_caught_up_forgets_how_late_it_was() -> None:
    passage = Passage()
    for turn in range(10):  # 4 s late, and four times as fast
        passage.note(int((turn * 0.4 - 4.0) * CLOCK_RATE) % 2**32, turn * 0.1)
    passage.note(int(2.0 * CLOCK_RATE), 2.0)
    assert passage.at(2.0) == 2 * CLOCK_RATE


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e6))
def test_rtp_time_may_begin_anywhere_and_wrap(begin: int, now: float) -> None:
    passage = Passage()
    assert passage.at(now) is None
    for turn in range(50):
        passage.note((begin + turn * 900) % 2**32, now + turn * 0.01)
    passing = passage.at(now + 0.5)
    assert passing is not None
    assert abs((passing - begin - 45_000 + 2**31) % 2**32 - 2**31) <= 1


def test_a_delay_that_is_known_is_never_told_as_unknown() -> None:
    assert (as_told(None), as_told(0.0), as_told(-0.0125), as_told(1.5)) == (0, 1, -12_500, 1_500_000)
