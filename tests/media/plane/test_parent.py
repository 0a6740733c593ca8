"""The child's view of one parent: hello, reports, silence, and what counts as a sign of life."""

from itertools import pairwise

from mcast.media.incoming import IncomingStream
from mcast.media.parent import Parent, ParentState
from mcast.media.reports import SenderInfo, Speaker, Supply, sender_compound
from mcast.media.timing import DEFAULT_TIMING
from mcast.wire.position import Position
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    Bye,
    FeedState,
    Nack,
    ReceiverReport,
    ReportBlock,
    Sdes,
    read_token,
    unpack_compound,
)
from mcast.wire.train import Train
from media.plane.streams import SIZE, SSRC, datagram, numbers_of, train

TOKEN = b"t" * 16
SPEAKER = Speaker(5, "me", TOKEN)


class Only:
    """A stream that has one parent."""

    def __init__(self, next_number: int = 0, *, start: int | None = None, repair: bool = True) -> None:
        position = Position(SSRC, next_number)
        self.stream = IncomingStream(position, start=start, repair=repair)
        self.parent = self.stream.add(0, SPEAKER, position, 0.0)

    def receive(self, data: bytes, size: int, now: float) -> list[Train]:
        return self.stream.receive(self.parent, data, size, now)

    def on_time(self, now: float) -> bytes | None:
        return self.stream.on_time(self.parent, now)


def make(next_number: int = 0, *, start: int | None = None, repair: bool = True) -> Only:
    return Only(next_number, start=start, repair=repair)


def report(
    next_number: int, state: FeedState = FeedState.FED, *, ssrc: int = SSRC, since: float = 0.0
) -> bytes:
    info = SenderInfo(ssrc, timestamp=90_000, age=0.5, packets=7, octets=8)
    return sender_compound(info, "parent", Supply(state, since).told(next_number, 2.0), wall=1_700_000_000.25)


def kinds(core: Only) -> list[ParentState]:
    return [event.kind for event in core.parent.events()]


def run(core: Only, begin: float, end: float, step: float = 0.02) -> list[tuple[float, bytes]]:
    """Let time pass; return what was sent, and when."""
    sent = []
    for turn in range(round((end - begin) / step) + 1):
        now = begin + turn * step
        if (packet := core.on_time(now)) is not None:
            sent.append((now, packet))
    return sent


def test_hello_goes_out_at_once_and_each_50_ms_until_a_sign_comes() -> None:
    core = make()
    sent = run(core, 0.0, 0.5, step=0.01)
    times = [now for now, _ in sent]
    assert times[0] == 0.0
    assert len(times) in (10, 11)
    assert all(abs(b - a - DEFAULT_TIMING.hello) < 0.011 for a, b in pairwise(times))
    packets = unpack_compound(sent[0][1])
    assert read_token(packets) == TOKEN
    assert isinstance(packets[0], ReceiverReport)
    assert packets[0].blocks[0].ssrc == SSRC
    assert isinstance(packets[1], Sdes)
    core.receive(report(NEXT_UNKNOWN), len(report(NEXT_UNKNOWN)), 0.51)
    assert len(run(core, 0.51, 1.0)) <= 3
    assert core.parent.round_trip is not None


def test_reports_come_twice_a_second_and_faster_while_datagrams_are_lost() -> None:
    core = make(repair=False)
    sent = []
    for number in range(0, 3000, 20):
        core.receive(train(number, 20).data, SIZE, number / 1000)
        sent += run(core, number / 1000, number / 1000)
    assert 5 <= len(sent) <= 8
    block = unpack_compound(sent[-1][1])[0]
    assert isinstance(block, ReceiverReport)
    assert block.blocks[0].cumulative_lost == 0
    sent = []
    for number in range(3000, 6000, 20):
        core.receive(train(number, 19).data, SIZE, number / 1000)
        sent += run(core, number / 1000, number / 1000)
    assert 12 <= len(sent) <= 17
    assert DEFAULT_TIMING.report == 0.5


def test_silence_is_told_after_300_ms_once_and_again_after_the_stream_came_back() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    assert kinds(core) == [ParentState.FED]
    run(core, 1.0, 1.0 + DEFAULT_TIMING.silence - 0.02)
    assert kinds(core) == []
    run(core, 1.0 + DEFAULT_TIMING.silence + 0.02, 2.0)
    assert kinds(core) == [ParentState.SILENT]
    core.receive(train(5, 5).data, SIZE, 2.0)
    assert kinds(core) == [ParentState.FED]


def test_first_sign_is_waited_for_a_little_longer() -> None:
    core = make()
    run(core, 0.0, DEFAULT_TIMING.start_silence - 0.02)
    assert kinds(core) == []
    run(core, DEFAULT_TIMING.start_silence, DEFAULT_TIMING.start_silence + 0.1)
    assert kinds(core) == [ParentState.SILENT]


def test_reports_keep_off_silence_but_are_no_sign_of_the_source() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    for turn in range(1, 15):
        core.receive(report(5), len(report(5)), 1.0 + turn / 10)
        core.on_time(1.0 + turn / 10)
    assert kinds(core) == [ParentState.FED, ParentState.CUT]


def test_duplicates_are_no_sign_of_life() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    for turn in range(1, 10):
        assert core.receive(train(0, 5).data, SIZE, 1.0 + turn / 10) == []
        core.on_time(1.0 + turn / 10)
    assert kinds(core) == [ParentState.FED, ParentState.SILENT]


def test_parents_state_is_passed_on() -> None:
    core = make()
    core.receive(report(NEXT_UNKNOWN, FeedState.WAITING), len(report(0)), 0.1)
    assert kinds(core) == [ParentState.WAITING]
    core.receive(report(0, FeedState.CUT, since=1.5), len(report(0)), 0.2)
    (event,) = core.parent.events()
    assert (event.kind, event.cut_ms) == (ParentState.CUT, 500)
    core.receive(report(0, FeedState.FED), len(report(0)), 0.3)
    assert kinds(core) == []  # it stays cut until media comes
    core.receive(train(0, 1).data, SIZE, 0.4)
    assert kinds(core) == [ParentState.FED]


def test_child_that_waits_for_a_keyframe_is_not_starved() -> None:
    core = make()
    for turn in range(30):
        core.receive(report(NEXT_UNKNOWN), len(report(0)), turn / 10)
        core.on_time(turn / 10)
    assert kinds(core) == [ParentState.WAITING]
    assert core.stream.reception.start is None


def test_refused_is_told_once() -> None:
    core = make()
    for turn in range(10):
        core.parent.refused(turn / 10)
        core.on_time(turn / 10)
    assert kinds(core) == [ParentState.REFUSED]


def test_parents_word_says_where_it_begins_so_that_a_lost_first_datagram_counts() -> None:
    core = make(1000)
    core.receive(report(600), len(report(0)), 0.1)
    core.receive(train(603, 5).data, SIZE, 0.1)
    assert core.stream.counters().lost == 3


def test_report_of_another_stream_is_foreign() -> None:
    core = make()
    core.receive(report(700, ssrc=9), len(report(0)), 0.1)
    core.receive(datagram(3, ssrc=9), SIZE, 0.1)
    core.receive(b"\x80\xc8garbage!", 10, 0.1)
    core.receive(b"garbage", 7, 0.1)
    counters = core.stream.counters()
    assert (counters.foreign, counters.garbage, counters.next) == (2, 2, 0)
    assert kinds(core) == []


def test_missing_numbers_are_asked_for_at_once_and_again_after_a_round_trip() -> None:
    core = make(65_530)
    core.on_time(0.0)
    core.receive(train(65_530, 5).data, SIZE, 0.1)  # a round trip of 100 ms
    core.on_time(0.1)
    core.receive(train(65_537, 5).data, SIZE, 0.11)
    asked = [now for now, packet in run(core, 0.11, 0.6, 0.01) if _nacks(packet)]
    assert asked[0] == 0.11
    assert all(abs(b - a - 0.125) < 0.02 for a, b in pairwise(asked))
    packet = core.on_time(0.8)
    assert packet is not None
    assert _nacks(packet) == [65_535, 0]
    (late,) = core.receive(train(65_535, 2).data, SIZE, 0.85)
    assert numbers_of([late]) == [65_535, 65_536]
    assert core.stream.counters().repaired == 2
    assert not any(_nacks(packet) for _, packet in run(core, 0.9, 2.0))


def _nacks(packet: bytes) -> list[int]:
    return [n for part in unpack_compound(packet) if isinstance(part, Nack) for n in part.sequences]


def test_goodbye_carries_the_token() -> None:
    packets = unpack_compound(make().parent.goodbye(1.0))
    assert read_token(packets) == TOKEN
    assert any(isinstance(packet, Bye) for packet in packets)


def block_of(packet: bytes | None) -> ReportBlock:
    assert packet is not None
    first = unpack_compound(packet)[0]
    assert isinstance(first, ReceiverReport)
    return first.blocks[0]


def test_report_block_says_what_was_lost_since_the_last_and_in_all() -> None:
    core = make(0x1_FFFE, start=0x1_FFFE, repair=False)
    core.receive(train(0x1_FFFE, 1).data, SIZE, 0.0)
    core.receive(train(0x2_0001, 1).data, SIZE, 0.0)
    block = block_of(core.on_time(1.0))
    assert (block.ssrc, block.fraction_lost, block.cumulative_lost) == (SSRC, 128, 2)
    assert block.highest_sequence == 0x2_0001
    assert block_of(core.on_time(2.0)).fraction_lost == 0
    core.receive(train(0x2_0000, 1).data, SIZE, 2.0)
    late = block_of(core.on_time(3.0))
    assert (late.fraction_lost, late.cumulative_lost) == (0, 1)


def test_report_answers_the_last_sr_and_says_how_long_ago_that_was() -> None:
    core = make()
    assert block_of(core.on_time(0.0)).last_sr == 0
    core.receive(report(0), len(report(0)), 0.1)
    block = block_of(core.on_time(0.6))
    assert block.last_sr != 0
    assert abs(block.delay_since_sr - 0.5 * 65_536) <= 1


def test_report_before_anything_has_arrived_is_empty() -> None:
    block = block_of(make(500).on_time(0.0))
    assert (block.highest_sequence, block.fraction_lost, block.cumulative_lost) == (0, 0, 0)


def test_jitter_is_zero_on_a_steady_path_and_survives_the_wrap_of_timestamps() -> None:
    parent = Parent(0, SPEAKER, Position(SSRC, 0), 0.0)

    def arrive(step: int, late: float = 0.0) -> None:
        timestamp = (2**32 - 900 + step * 90) % 2**32
        parent.on_media(step, 1, ((step, 1),), timestamp, step * 0.001 + late)

    for step in range(100):
        arrive(step)
    assert parent.counters().jitter_ms < 0.03
    arrive(100, late=0.016)
    assert 0.9 < parent.counters().jitter_ms < 1.1
