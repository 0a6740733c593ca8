"""A stream from one parent or two: each number once, and the right parent is asked for what is missing."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.incoming import IncomingStream
from mcast.media.leap import MAX_DROPOUT
from mcast.media.parent import Parent
from mcast.media.reports import SenderInfo, Speaker, Supply, sender_compound
from mcast.media.timing import DEFAULT_TIMING
from mcast.overlay.events import Feed
from mcast.wire.mpegts import PACKET
from mcast.wire.position import Position
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    FeedState,
    Nack,
    ReceiverReport,
    ReportBlock,
    says_beside,
    unpack_compound,
)
from mcast.wire.train import NULL_DATAGRAM, Train
from media.plane.streams import SIZE, SSRC, datagram, follow, numbers_of, train


class TwoParents:
    """A stream and its parents 0 and 1; time is handed in."""

    def __init__(self, at: int = 0, *, start: int | None = 0, second: int | None = None) -> None:
        self.stream = IncomingStream(Position(SSRC, at), start=start)
        self.parents = [self._add(0, at, None), self._add(1, at, second)]
        self.trains: list[Train] = []

    def _add(self, upstream: int, at: int, start: int | None) -> Parent:
        speaker = Speaker(5, "me", bytes([upstream]) * 16)
        return self.stream.add(upstream, speaker, Position(SSRC, at), 0.0, start)

    def media(self, upstream: int, first: int, count: int = 1, now: float = 0.0) -> list[int]:
        """Have a parent bring datagrams; return the numbers that are new."""
        new = self.stream.receive(self.parents[upstream], train(first, count).data, SIZE, now)
        self.trains += new
        return numbers_of(new)

    def says(self, upstream: int, next_number: int, now: float, state: FeedState = FeedState.FED) -> None:
        """Have a parent send an SR."""
        info = SenderInfo(SSRC, timestamp=90_000 + upstream, age=0.0, packets=7, octets=8)
        packet = sender_compound(info, "p", Supply(state, 0.0).told(next_number, now), wall=1_700_000_000.0)
        self.stream.receive(self.parents[upstream], packet, len(packet), now)

    def asked(self, upstream: int, now: float) -> list[int]:
        """Return what a parent is asked for now (16 bits)."""
        packet = self.stream.on_time(self.parents[upstream], now)
        packets = () if packet is None else unpack_compound(packet)
        return [n for part in packets if isinstance(part, Nack) for n in part.sequences]

    def block(self, upstream: int, now: float) -> ReportBlock:
        """Return what a parent is told, when it is due."""
        packet = self.stream.on_time(self.parents[upstream], now)
        assert packet is not None
        first = unpack_compound(packet)[0]
        assert isinstance(first, ReceiverReport)
        return first.blocks[0]

    def states(self) -> list[Feed | None]:
        return [parent.state for parent in self.parents]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, MAX_DROPOUT), st.integers(1, 40)), max_size=60))
def test_each_number_is_new_once_whoever_brings_it(arrivals: list[tuple[int, int, int]]) -> None:
    two, offered = TwoParents(), set[int]()
    for upstream, first, count in arrivals:
        two.media(upstream, first, count)
        offered |= set(range(first, first + count))
    assert sorted(numbers_of(two.trains)) == sorted(offered)
    counters, brought = two.stream.counters(), two.stream.parents()
    assert counters.datagrams == len(offered) == brought[0].new + brought[1].new
    assert counters.bytes == len(offered) * SIZE


@given(st.lists(st.tuples(st.integers(0, MAX_DROPOUT), st.integers(1, 40)), max_size=60))
def test_the_only_parent_is_counted_as_the_stream_is(arrivals: list[tuple[int, int]]) -> None:
    one = TwoParents(start=None)
    one.stream.remove(1)
    for first, count in arrivals:
        one.media(0, first, count)
    parent, stream = one.stream.parents()[0], one.stream.counters()
    assert (parent.datagrams, parent.new, parent.lost, parent.next) == (
        stream.datagrams, stream.datagrams, stream.lost, stream.next,
    )  # fmt: skip


def test_the_slower_parent_lives_although_it_brings_nothing_new() -> None:
    two = TwoParents()
    for step in range(100):
        now = step * 0.02
        assert two.media(0, step * 10, 10, now)
        assert not two.media(1, step * 10, 10, now + 0.005)
        two.asked(0, now + 0.005)
        two.asked(1, now + 0.005)
    assert two.states() == [Feed.FED, Feed.FED]
    assert (two.stream.parents()[1].datagrams, two.stream.parents()[1].new) == (1000, 0)
    assert two.stream.counters().duplicates == 1000


def test_it_is_told_for_how_long_a_silent_parent_has_brought_nothing_and_nothing_new_has_come_at_all() -> (
    None
):
    two = TwoParents()
    for step in range(50):
        two.media(0, step, now=step * 0.02)
    last = 49 * 0.02
    for look in range(1, 12):
        two.asked(0, last + look * 0.02)
    two.media(1, 30, 20, last + 0.22)  # from its history: nothing of it is new
    two.media(1, 50, 1, last + 0.23)
    for look in range(12, 30):
        two.asked(0, last + look * 0.02)
    fed, suspect, silent = two.parents[0].events()
    assert (fed.kind, fed.quiet_ms) == (Feed.FED, 0)
    assert suspect.kind is Feed.SUSPECT
    assert 150 <= suspect.quiet_ms <= 180
    assert silent.kind is Feed.SILENT
    assert 300 <= silent.quiet_ms <= 340  # of its own, though the other one feeds
    (taken,) = two.parents[1].events()
    assert (taken.kind, taken.quiet_ms) == (Feed.FED, 220)


def test_what_has_taken_the_short_way_counts_as_media_of_the_parent() -> None:
    one = TwoParents()
    one.stream.remove(1)
    one.media(0, 0, now=0.0)
    for step in range(1, 30):
        data = train(step, 1).data
        if follow(one.stream, data, SIZE, step * 0.02) is None:
            one.media(0, step, now=step * 0.02)
    for look in range(30, 60):
        one.asked(0, look * 0.02)
    silent = one.parents[0].events()[-1]
    assert silent.kind is Feed.SILENT
    assert silent.quiet_ms == round((silent.at - 29 * 0.02) * 1000)


def test_a_parent_that_only_repeats_itself_is_found_silent() -> None:
    two = TwoParents()
    for step in range(100):
        now = step * 0.02
        two.media(0, step * 10, 10, now)
        two.media(1, step % 5 * 10, 10, now)  # what goes round in a ring
        two.asked(1, now)
    assert two.states() == [Feed.FED, Feed.SILENT]


def test_the_other_goes_on_where_one_freezes() -> None:
    two = TwoParents()
    two.media(0, 0, 20, 0.0)
    two.media(1, 0, 10, 0.0)
    for step in range(1, 60):
        now = step * 0.02
        two.media(1, step * 10, 10, now)
        two.asked(0, now)
        two.asked(1, now)
    assert numbers_of(two.trains) == list(range(600))
    assert two.states() == [Feed.SILENT, Feed.FED]
    events = [event.kind for event in two.parents[0].events()]
    assert events == [Feed.FED, Feed.SUSPECT, Feed.SILENT]


def test_each_parent_is_told_its_own_highest_number_and_losses() -> None:
    two = TwoParents(second=0)
    two.media(0, 0, 10)
    two.media(0, 15, 5)
    two.media(1, 0, 12)
    assert two.stream.counters().lost == 3
    first, second = two.block(0, 1.0), two.block(1, 1.0)
    assert (first.highest_sequence, first.cumulative_lost) == (19, 5)
    assert (second.highest_sequence, second.cumulative_lost) == (11, 0)


def test_only_who_has_sent_a_number_is_asked_for_it() -> None:
    two = TwoParents(second=0)
    two.media(0, 0, 10)
    two.media(1, 0, 5)
    two.media(0, 13, 5)  # 10 to 12 are missing; the second parent is not there yet
    assert two.asked(1, 0.0) == []
    assert two.asked(0, 0.0) == [10, 11, 12]
    assert two.media(1, 5, 7) == [10, 11]  # it comes by itself
    assert two.media(0, 12, 1) == [12]


def test_what_the_first_does_not_answer_the_second_is_asked_for() -> None:
    two = TwoParents(second=0)
    for upstream in (0, 1):
        two.media(upstream, 0, 10)
        two.media(upstream, 13, 7)
    asked = []
    for step in range(30):
        for upstream in (0, 1):
            two.says(upstream, 20, step * 0.02)
            asked.append((upstream, bool(two.asked(upstream, step * 0.02))))
    turns = [upstream for upstream, any_ in asked if any_]
    assert turns[:4] == [0, 1, 0, 1]
    assert len(turns) < 12  # each answer is waited for


def test_a_silent_parent_is_asked_for_nothing_while_the_other_lives() -> None:
    two = TwoParents(second=0)
    for upstream in (0, 1):
        two.media(upstream, 0, 10)
    late = DEFAULT_TIMING.silence + 0.1
    for step in range(round(late / 0.02)):
        two.asked(0, step * 0.02)
    two.media(0, 13, 1, 0.0)
    for step in range(round(late / 0.02)):
        two.stream.on_time(two.parents[0], step * 0.02)
    two.media(1, 13, 7, late)
    assert two.asked(0, late) == []
    assert two.states()[0] is Feed.SILENT
    assert two.asked(1, late) == [10, 11, 12]
    two.stream.remove(1)
    assert two.asked(0, late + 0.2) == [10, 11, 12]  # better than nobody


def test_a_second_parent_begins_where_it_was_asked_to_and_is_held_to_that() -> None:
    two = TwoParents(start=None)
    two.media(0, 0, 10)
    two.media(0, 15, 5)
    wanted = two.stream.reception.wanted
    assert wanted == 10
    two.stream.remove(0)
    second = two.stream.add(2, Speaker(5, "me", bytes(16)), Position(SSRC, 40_000), 0.0, wanted)
    two.parents.append(second)
    assert two.media(2, 12, 3) == [12, 13, 14]
    assert two.stream.parents()[2].lost == 2
    assert two.asked(2, 0.0) == [10, 11]
    assert two.media(2, 15, 10) == list(range(20, 25))


def test_a_parent_far_ahead_is_understood_by_what_its_port_said() -> None:
    two = TwoParents()
    two.media(0, 0, 10)
    ahead = two.stream.add(2, Speaker(5, "me", bytes(16)), Position(SSRC, 100_000), 0.0)
    two.parents.append(ahead)
    assert two.media(2, 100_003, 2) == [100_003, 100_004]


def test_each_report_answers_its_own_parent() -> None:
    two = TwoParents()
    two.says(0, NEXT_UNKNOWN, 0.1)
    two.says(1, NEXT_UNKNOWN, 0.2)
    assert abs(two.block(0, 1.1).delay_since_sr / 65_536 - 1.0) < 0.001
    assert abs(two.block(1, 1.1).delay_since_sr / 65_536 - 0.9) < 0.001


def test_a_word_that_cannot_be_true_moves_nothing() -> None:
    two = TwoParents()
    two.media(0, 0, 10)
    two.says(0, 1 << 60, 0.1)
    assert (two.stream.reception.next, two.parents[0].next) == (10, 10)
    two.says(1, 12, 0.1, FeedState.CUT)
    assert two.states() == [Feed.FED, Feed.CUT]
    assert two.asked(0, 0.1) == []
    assert two.stream.counters().lost == 2


def test_foreign_and_broken_packets_are_counted() -> None:
    two = TwoParents()
    stream, parent = two.stream, two.parents[0]
    stream.receive(parent, datagram(3, ssrc=9), SIZE, 0.1)
    stream.receive(parent, b"\x80\xc8garbage!", 10, 0.1)
    stream.receive(parent, b"garbage", 7, 0.1)
    assert (stream.counters().foreign, stream.counters().garbage) == (1, 2)


def test_two_lossy_parents_that_answer_give_everything_once() -> None:
    rng, two, count = random.Random(3), TwoParents(second=0), 600
    answers: list[tuple[int, list[int]]] = []
    for step in range(count // 10 + 40):
        now = step * 0.02
        for upstream in (0, 1):
            for number in range(step * 10, step * 10 + 10):
                if number < count and rng.random() > 0.3:
                    two.media(upstream, number, 1, now)
            if step * 10 >= count:
                two.says(upstream, count, now)
        for upstream, numbers in answers:
            for number in numbers:
                if rng.random() > 0.3:
                    two.media(upstream, number, 1, now)
        answers = [(upstream, two.asked(upstream, now)) for upstream in (0, 1)]
    assert sorted(numbers_of(two.trains)) == list(range(count))


# Leaps


def test_one_forged_number_far_ahead_changes_nothing() -> None:
    two = TwoParents()
    assert two.media(0, 0, 20) == list(range(20))
    assert two.media(0, 10_000) == []
    assert two.media(0, 20, 20) == list(range(20, 40))
    assert two.media(0, 10_001) == []  # nor does another one, as the stream has gone on meanwhile
    assert two.media(0, 40, 20) == list(range(40, 60))
    counters = two.stream.counters()
    assert (counters.next, counters.lost, counters.doubted) == (60, 0, 2)


def test_one_forged_report_far_ahead_changes_nothing() -> None:
    two = TwoParents()
    two.media(0, 0, 20)
    two.says(0, 10_000, 0.1)
    assert two.media(0, 20, 20, 0.1) == list(range(20, 40))
    assert (two.stream.counters().lost, two.parents[0].next) == (0, 40)


@pytest.mark.parametrize("forged", ["datagram", "datagram, then the parent's report", "report"])
def test_one_forged_word_before_the_first_true_one_changes_nothing(forged: str) -> None:
    two = TwoParents(start=None)
    if forged == "report":
        two.says(0, 10_000, 0.0)
    else:
        assert two.media(0, 10_000) == []
    if forged.endswith("the parent's report"):
        two.says(0, 0, 0.0)
    assert [n for first in range(0, 60, 20) for n in two.media(0, first, 20)] == list(range(60))
    counters = two.stream.counters()
    assert (counters.next, counters.lost, counters.doubted) == (60, 0, 1)


def test_a_parent_that_has_gone_on_since_it_gave_its_port_is_believed_at_the_second_word() -> None:
    two = TwoParents(start=None)
    assert two.media(0, 700, 20) == []
    assert two.media(0, 720, 20) == list(range(700, 740))
    assert two.stream.counters().lost == 0


def test_a_leap_that_goes_on_is_believed_and_nothing_of_it_is_thrown_away() -> None:
    two = TwoParents()
    two.media(0, 0, 20)
    assert two.media(0, 1_000, 20) == []
    assert two.media(0, 1_023, 20) == [*range(1_000, 1_020), *range(1_023, 1_043)]
    assert two.stream.counters().lost == 980 + 3
    assert two.asked(0, 0.1)[:3] == [20, 21, 22]


def test_a_report_and_a_datagram_that_agree_are_believed() -> None:
    for first in ("report", "datagram"):
        two = TwoParents()
        two.media(0, 0, 20)
        if first == "report":
            two.says(0, 50_000, 0.1)  # too far for 16 bits: only the report can tell
            assert two.media(0, 50_002, 3, 0.1) == [50_002, 50_003, 50_004]
        else:
            two.media(0, 10_000, 3, 0.1)
            two.says(0, 10_003, 0.1)
            assert two.media(0, 10_003, 2, 0.1) == [10_003, 10_004]


def test_two_reports_that_agree_are_believed() -> None:
    two = TwoParents()
    two.media(0, 0, 20)
    two.says(0, 9_000, 0.1)
    two.says(0, 9_000, 0.13)
    assert two.stream.counters().next == 9_000


# Races


def race(*, first: int, seconds: float, slower: float = 0.005, both: bool = False) -> list[int]:
    """Let two parents bring the same stream; return who is told to be outdone, time and again."""
    two, found = TwoParents(), list[int]()
    for step in range(round(seconds / 0.02)):
        now = step * 0.02
        winner = (step % 2) if both else first
        two.media(winner, step * 10, 10, now)
        two.media(1 - winner, step * 10, 10, now + slower)
        two.asked(0, now + slower)
        two.asked(1, now + slower)
        if (loser := two.stream.outdone(now + slower)) is not None:
            found.append(loser)
    return found


def test_the_parent_that_brings_no_number_first_for_two_seconds_is_outdone() -> None:
    assert race(first=0, seconds=1.9) == []
    assert race(first=0, seconds=4.5) == [1, 1]
    assert race(first=1, seconds=2.5) == [0]


def test_of_two_that_are_as_good_the_newer_is_outdone() -> None:
    assert race(first=0, seconds=2.5, both=True) == [1]


def test_there_is_no_race_with_a_parent_that_brings_nothing() -> None:
    two = TwoParents()
    for step in range(200):
        two.media(0, step * 10, 10, step * 0.02)
        assert two.stream.outdone(step * 0.02) is None


def test_a_parent_hears_that_another_delivers_and_at_once_when_it_does_no_more() -> None:
    two = TwoParents()
    assert not beside(two, 1, 0.0)
    two.media(0, 0, 10, 0.01)
    assert beside(two, 1, 0.6)
    two.asked(0, 0.61)
    for step in range(31, 60):  # the other is silent; this one is not due to report, but for that
        two.asked(0, step * 0.02)
        two.media(1, step * 10, 10, step * 0.02)
        if two.states()[0] is not Feed.FED:
            assert beside(two, 1, step * 0.02) is False
            return
    raise AssertionError("the silence was not noticed")


def beside(two: TwoParents, upstream: int, now: float) -> bool:
    packet = two.stream.on_time(two.parents[upstream], now)
    assert packet is not None
    return says_beside(unpack_compound(packet))


def test_the_longest_gap_is_the_one_between_two_new_datagrams() -> None:
    two = TwoParents()
    assert two.stream.counters().longest_gap_ms == 0
    two.media(0, 0, 10, 5.0)
    two.media(0, 10, 10, 5.1)
    two.media(1, 0, 20, 5.3)  # nothing new
    two.media(0, 20, 10, 5.4)
    two.media(0, 30, 10, 5.5)
    assert abs(two.stream.counters().longest_gap_ms - 300) < 0.001


def test_a_parent_is_asked_for_what_somebody_below_wants_from_before_this_child_began() -> None:
    two = TwoParents(at=100, start=100, second=100)
    two.stream.remove(1)
    assert two.media(0, 100, 5, 1.0) == [100, 101, 102, 103, 104]
    two.stream.reach_back(97, 1.1)
    assert two.asked(0, 1.1) == [97, 98, 99]
    assert two.media(0, 97, 3, 1.2) == [97, 98, 99]
    assert two.stream.counters().lost == 0


def test_it_is_asked_for_that_even_if_somebody_below_was_first_to_say_so() -> None:
    two = TwoParents(at=100, start=None)
    two.stream.remove(1)
    for number in (98, 97, 99):  # three children have come before the first datagram
        two.stream.reach_back(number, 0.9)
    assert two.media(0, 100, 5, 1.0) == [100, 101, 102, 103, 104]
    assert two.asked(0, 1.1) == [97, 98, 99]
    assert two.media(0, 97, 3, 1.2) == [97, 98, 99]
    assert two.stream.counters().lost == 0


def test_what_has_been_missing_for_long_is_asked_of_a_parent_that_is_new() -> None:
    two = TwoParents()
    two.stream.remove(1)
    two.media(0, 0, 5, 1.0)
    two.media(0, 7, 5, 1.1)
    assert two.asked(0, 1.2) == [5, 6]
    two.stream.remove(0)
    assert two.stream.reception.wanted == 5
    two.parents[1] = two.stream.add(1, Speaker(5, "me", b"n" * 16), Position(SSRC, 12), 2.5, 5)
    two.says(1, 12, 2.55)
    assert two.asked(1, 2.65) == [5, 6]
    assert two.asked(1, 2.5 + DEFAULT_TIMING.repair) == []


@pytest.mark.parametrize("state", [FeedState.CUT, None])
def test_what_is_missing_is_not_given_up_while_the_parent_itself_is_cut_off_or_silent(
    state: FeedState | None,
) -> None:
    two = TwoParents()
    two.stream.remove(1)
    two.media(0, 0, 5, 1.0)
    two.media(0, 7, 5, 1.1)
    assert two.asked(0, 1.2) == [5, 6]  # 0.1 s of the time are over
    for tick in range(120, 600, 3):
        if state is not None:
            two.says(0, 12, tick / 100, state)
        two.asked(0, tick / 100)
    assert two.states()[0] is (Feed.CUT if state else Feed.SILENT)
    asked = []
    for tick in range(600, 900):  # its repair has succeeded
        two.media(0, tick - 588, 1, tick / 100)
        asked += [tick / 100] if two.asked(0, tick / 100) else []
    assert asked[0] < 6.1
    assert DEFAULT_TIMING.repair - 0.5 < asked[-1] - 6 <= DEFAULT_TIMING.repair


def test_suspicion_again_and_again_does_not_keep_what_nobody_has() -> None:
    two = TwoParents()
    two.stream.remove(1)
    two.media(0, 0, 5, 1.0)
    two.media(0, 7, 5, 1.1)
    number, now = 12, 1.1
    while now < 6:
        now = round(now + 0.01, 2)
        if round(now % 0.4, 2) < 0.2:  # then nothing for 200 ms
            two.media(0, number, 1, now)
            number += 1
        if two.asked(0, now):
            last = now
    assert last < 1.1 + 2 * DEFAULT_TIMING.repair


# The short way

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.integers(1, 12)),
        st.tuples(st.just("next"), st.integers(1, 12)),
        st.tuples(st.just("at"), st.integers(-20, 200)),
        st.tuples(st.just("sr"), st.integers(0, 2)),
        st.tuples(st.just("null"), st.integers(1, 3)),
        st.tuples(st.just("bytes"), st.integers(0, 60)),
        st.tuples(st.just("wait"), st.integers(1, 400)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=60,
)


class Pair:
    """The same parent of the same stream twice: one takes the short way where it may, one never does."""

    def __init__(self) -> None:
        self.now, self.number = 1.0, 0
        self.short, self.long = (IncomingStream(Position(SSRC, 0), start=0) for _ in range(2))
        self.parents = [
            stream.add(0, Speaker(5, "me", b"t" * 16), Position(SSRC, 0), self.now, 0)
            for stream in (self.short, self.long)
        ]
        self.followed = 0

    def hear(self, data: bytes, size: int) -> None:
        """Have both receive the same."""
        train = follow(self.short, data, size, self.now)
        self.followed += train is not None
        trains = [train] if train else self.short.receive(self.parents[0], data, size, self.now)
        assert trains == self.long.receive(self.parents[1], data, size, self.now)

    def look(self) -> None:
        """Have both look at the clock; they are to be the same then, but for the jitter of fewer samples."""
        due = [
            stream.on_time(parent, self.now)
            for stream, parent in zip((self.short, self.long), self.parents, strict=True)
        ]
        blocks = [packet and unpack_compound(packet)[0] for packet in due]
        assert self.without_jitter(blocks[0]) == self.without_jitter(blocks[1])
        assert self.short.counters() == self.long.counters()
        seen = [replace(stream.parents()[0], jitter_ms=0.0) for stream in (self.short, self.long)]
        assert seen[0] == seen[1]
        assert [list(parent.events()) for parent in self.parents[:1]] == [list(self.parents[1].events())]

    def without_jitter(self, report: object) -> object:
        if not isinstance(report, ReceiverReport):
            return report
        return [block._replace(jitter=0) for block in report.blocks]

    def take(self, kind: str, value: int) -> None:
        match kind:
            case "next" | "at":
                first = self.number if kind == "next" else max(0, self.number + value)
                count = value if kind == "next" else 3
                self.hear(train(first, count).data, SIZE)
                self.number = max(self.number, first + count)
            case "null":
                null = b"\x47\x1f\xff\x10" + bytes(PACKET - 4)
                self.hear(datagram(self.number, packets=0) + null, NULL_DATAGRAM)
                self.number += 1
            case "sr":
                told = Supply(FeedState(value), 0.0).told(self.number, self.now)
                packet = sender_compound(SenderInfo(SSRC, 0, 0.0, 7, 8), "p", told, wall=1.7e9)
                self.hear(packet, len(packet))
            case "bytes":
                self.hear(bytes(value), max(1, value))
            case "wait":
                self.now += value / 1000
            case "look":
                self.look()


@given(STEPS)
def test_the_short_way_leads_to_the_same_as_the_long_one(steps: list[tuple[str, int]]) -> None:
    pair = Pair()
    for kind, value in steps:
        pair.take(kind, value)
    pair.look()


def test_trains_in_order_take_the_short_way_and_a_gap_ends_it_until_it_is_filled() -> None:
    pair = Pair()
    for _ in range(20):
        pair.take("next", 5)
        pair.take("wait", 10)
    pair.look()
    begun = pair.followed
    assert begun > 10
    pair.take("at", 3)  # three numbers lack
    for _ in range(5):
        pair.take("next", 5)
    assert pair.followed == begun
    pair.hear(train(100, 3).data, SIZE)  # they have come
    pair.take("next", 5)
    assert pair.followed == begun + 1
    pair.look()
