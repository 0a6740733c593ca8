"""The child's view of one parent: hello, reports, silence, and what counts as a sign of life."""

from itertools import pairwise

from mcast.media.incoming import IncomingStream
from mcast.media.parent import Parent
from mcast.media.reception import HASTY_ASKS
from mcast.media.reports import SenderInfo, SenderRound, Speaker, Supply, reference_time
from mcast.media.timing import DEFAULT_TIMING
from mcast.overlay.events import Feed
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.position import Position
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    Bye,
    ExtendedReport,
    FeedState,
    Nack,
    ReceiverReport,
    ReferenceDelay,
    ReportBlock,
    Sdes,
    middle32,
    read_token,
    unpack_compound,
)
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import NULL_DATAGRAM, Train
from media.plane.streams import SIZE, SSRC, datagram, numbers_of, train

TOKEN = b"t" * 16
SPEAKER = Speaker(5, "me", TOKEN)


class Only:
    """A stream that has one parent."""

    def __init__(
        self, next_number: int = 0, *, start: int | None = None, repair: bool = True, answer: float = 0.0
    ) -> None:
        position = Position(SSRC, next_number)
        self.stream = IncomingStream(position, start=start, repair=repair)
        self.parent = self.stream.add(0, SPEAKER, position, 0.0, answer=answer)

    def receive(self, data: bytes, size: int, now: float) -> list[Train]:
        return self.stream.receive(self.parent, data, size, now)

    def on_time(self, now: float) -> bytes | None:
        return self.stream.on_time(self.parent, now)


def make(next_number: int = 0, *, start: int | None = None, repair: bool = True, answer: float = 0.0) -> Only:
    return Only(next_number, start=start, repair=repair, answer=answer)


def report(
    next_number: int,
    state: FeedState = FeedState.FED,
    *,
    ssrc: int = SSRC,
    since: float = 0.0,
    no_way: bool = False,
    answer: ReferenceDelay | None = None,
) -> bytes:
    info = SenderInfo(ssrc, timestamp=90_000, age=0.5, packets=7, octets=8)
    told = SenderRound(info, "parent", Supply(state, since, no_way), 1_700_000_000.25, 2.0)
    return told.compound(next_number, 7, 8, answer)


def kinds(core: Only) -> list[Feed]:
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


def test_silence_is_suspect_after_150_ms_and_sure_after_300_and_over_with_the_next_datagram() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    assert kinds(core) == [Feed.FED]
    run(core, 1.0, 2.0, 0.01)
    suspect, silent = core.parent.events()
    assert (suspect.kind, silent.kind) == (Feed.SUSPECT, Feed.SILENT)
    assert 1.15 <= suspect.at < 1.18
    assert 1.3 <= silent.at < 1.33
    core.receive(train(5, 5).data, SIZE, 2.0)
    assert kinds(core) == [Feed.FED]


def test_who_is_used_to_longer_gaps_suspects_later_for_some_seconds() -> None:
    core, now = make(), 1.0
    for turn in range(6):
        core.receive(train(turn * 5, 5).data, SIZE, now)
        run(core, now, now + 0.24, 0.01)
        now += 0.25
    assert kinds(core).count(Feed.SUSPECT) == 1  # the first time
    core.receive(train(30, 5).data, SIZE, now)
    run(core, now, now + 0.28, 0.01)
    assert kinds(core) == []
    run(core, now + 0.28, now + 0.6, 0.01)
    assert kinds(core) == [Feed.SUSPECT, Feed.SILENT]
    for turn in range(2_200):  # 22 s without a gap
        core.receive(train(35 + turn * 5, 5).data, SIZE, now + 1.0 + turn / 100)
    run(core, now + 22.99, now + 23.17, 0.01)
    assert kinds(core) == [Feed.FED, Feed.SUSPECT]


def test_a_failure_that_has_passed_is_no_rhythm() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    run(core, 1.0, 3.0, 0.01)
    core.receive(train(5, 5).data, SIZE, 3.0)
    run(core, 3.0, 3.18, 0.01)
    assert kinds(core) == [Feed.FED, Feed.SUSPECT, Feed.SILENT, Feed.FED,
                           Feed.SUSPECT]  # fmt: skip


def test_who_was_asleep_itself_suspects_nobody() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    core.on_time(1.0)
    for awake in (6.0, 6.01, 6.02):
        core.on_time(awake)
    core.receive(train(5, 5).data, SIZE, 6.03)
    core.on_time(6.03)
    assert kinds(core) == [Feed.FED]


def test_a_parent_whose_datagrams_get_lost_is_fed_and_not_suspect() -> None:
    core = make()
    for number in range(0, 2_000, 20):
        core.receive(train(number, 1).data, SIZE, number / 1000)
        run(core, number / 1000, number / 1000 + 0.02, 0.01)
    assert kinds(core) == [Feed.FED]


def test_first_sign_is_waited_for_a_little_longer() -> None:
    core = make()
    run(core, 0.0, DEFAULT_TIMING.start_silence - 0.02)
    assert kinds(core) == []  # nor suspected: who has given no sign yet has no rhythm
    run(core, DEFAULT_TIMING.start_silence, DEFAULT_TIMING.start_silence + 0.1)
    assert kinds(core) == [Feed.SILENT]


def test_first_sign_is_waited_for_twice_as_long_as_the_answer_has_taken_but_not_for_ever() -> None:
    for answer, begin in ((0.4, 1.0), (0.8, 1.6), (60.0, DEFAULT_TIMING.first_hello)):
        core = make(answer=answer)
        run(core, 0.0, begin - 0.02)
        assert kinds(core) == []
        run(core, begin, begin + 0.1)
        assert kinds(core) == [Feed.SILENT]


def hear(core: Only, begin: float, end: float, told: bytes, *, every: float = 0.03) -> None:
    """Let time pass in which the parent sends SRs and no media."""
    for turn in range(round((end - begin) / every)):
        core.receive(told, len(told), begin + turn * every)
        run(core, begin + turn * every, begin + (turn + 1) * every, 0.01)


def test_reports_keep_off_silence_but_are_no_sign_of_the_source() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    hear(core, 1.03, 1.9, report(5))
    assert kinds(core) == [Feed.FED]
    hear(core, 1.9, 2.2, report(5))
    assert kinds(core) == [Feed.CUT]
    hear(core, 2.2, 9.0, report(5))
    assert kinds(core) == []  # no SR sets the clock of media back
    core.receive(train(5, 5).data, SIZE, 9.0)
    assert kinds(core) == [Feed.FED]


def test_a_hop_that_passes_only_reports_is_found_out_after_a_silence_too() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    run(core, 1.0, 2.0, 0.01)
    hear(core, 2.0, 3.5, report(5))
    assert kinds(core) == [Feed.FED, Feed.SUSPECT, Feed.SILENT, Feed.WAITING,
                           Feed.CUT]  # fmt: skip


def test_a_report_takes_a_suspicion_back() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    run(core, 1.0, 1.2, 0.01)
    hear(core, 1.2, 1.5, report(5))
    assert kinds(core) == [Feed.FED, Feed.SUSPECT, Feed.FED]


def test_who_waits_for_the_server_is_waited_for() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    hear(core, 1.1, 20.0, report(5, FeedState.WAITING))
    assert kinds(core) == [Feed.FED, Feed.WAITING]


def nulls(first: int, count: int) -> bytes:
    """Return datagrams of one null packet each: what keeps the numbers of a silent live input going."""
    headers = (datagram(number)[:HEADER_SIZE] for number in range(first, first + count))
    return b"".join(header + NULL_PACKET for header in headers)


def test_null_packets_do_not_make_a_parent_fed_that_waits_for_the_server() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    for turn in range(50):
        now = 1.1 + turn / 10
        core.receive(nulls(5 + turn, 1), NULL_DATAGRAM, now)
        if turn % 10 == 5:  # an SR a second
            told = report(6 + turn, FeedState.WAITING)
            core.receive(told, len(told), now + 0.01)
        run(core, now, now + 0.1, 0.01)
    assert kinds(core) == [Feed.FED, Feed.WAITING]
    core.receive(train(55, 5).data, SIZE, 6.1)
    assert kinds(core) == [Feed.FED]


def test_null_packets_of_a_parent_that_says_it_is_fed_are_media() -> None:
    core = make()
    for turn in range(30):
        now = 1.0 + turn / 10
        core.receive(nulls(turn, 1), NULL_DATAGRAM, now)
        told = report(turn + 1)
        core.receive(told, len(told), now + 0.01)
        run(core, now, now + 0.1, 0.01)
    assert kinds(core) == [Feed.FED]


def test_null_packets_between_gaps_that_nothing_fills_are_no_media() -> None:
    core, number, now = make(), 5, 1.1
    core.receive(train(0, 5).data, SIZE, 1.0)
    while now < 11.0:  # the larger datagrams of a live input vanish: an SR a second says that there are some
        core.receive(nulls(number, 1), NULL_DATAGRAM, now)
        number += 4
        if round(now * 10) % 10 == 5:
            told = report(number)
            core.receive(told, len(told), now + 0.01)
        run(core, now, now + 0.1, 0.01)
        now += 0.1
    assert kinds(core) == [Feed.FED, Feed.CUT]
    core.receive(train(number, 5).data, SIZE, 11.1)
    assert kinds(core) == [Feed.FED]


def test_an_idle_source_may_lose_a_null_packet_now_and_then_and_one_for_good() -> None:
    core, now = make(), 1.0
    for turn in range(60):
        number, now = turn + (turn > 10), 1.0 + turn / 10  # number 11 never comes
        if turn % 7 or not turn:
            core.receive(nulls(number, 1), NULL_DATAGRAM, now)
        else:  # one is late, and is repaired
            core.receive(nulls(number + 1, 1), NULL_DATAGRAM, now)
            core.receive(nulls(number, 1), NULL_DATAGRAM, now + 0.05)
        told = report(number + 1)
        core.receive(told, len(told), now + 0.06)
        run(core, now + 0.06, now + 0.1, 0.01)
    assert kinds(core) == [Feed.FED]
    assert core.stream.counters().lost == 1


def test_a_clock_that_goes_back_ends_no_report() -> None:
    core = make()
    told = report(5)
    core.receive(told, len(told), 1_000.0)
    first = unpack_compound(core.parent.goodbye(-100_000.0))[0]
    assert isinstance(first, ReceiverReport)
    assert first.blocks[0].delay_since_sr == 0


def test_a_silent_parent_that_comes_back_with_null_packets_waits_as_before() -> None:
    core = make()
    core.receive(nulls(0, 1), NULL_DATAGRAM, 1.0)
    told = report(1, FeedState.WAITING)
    core.receive(told, len(told), 1.01)
    run(core, 1.02, 2.0, 0.01)
    core.receive(nulls(1, 1), NULL_DATAGRAM, 2.0)
    assert kinds(core) == [Feed.FED, Feed.WAITING, Feed.SUSPECT, Feed.SILENT,
                           Feed.WAITING]  # fmt: skip


def test_a_parents_word_counts_for_nothing_while_its_media_comes() -> None:
    core = make()
    for turn in range(20):  # it is cut off, and feeds us out of its history
        core.receive(train(turn * 5, 5).data, SIZE, 1.0 + turn * 0.01)
        core.receive(report(5, FeedState.CUT), len(report(5)), 1.005 + turn * 0.01)
    assert kinds(core) == [Feed.FED]
    hear(core, 1.2, 1.3, report(100, FeedState.CUT))
    assert kinds(core) == [Feed.CUT]


def test_duplicates_are_no_sign_of_life() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    for turn in range(1, 50):
        assert core.receive(train(0, 5).data, SIZE, 1.0 + turn / 50) == []
        core.on_time(1.0 + turn / 50)
    assert kinds(core) == [Feed.FED, Feed.SUSPECT, Feed.SILENT]


def test_parents_state_is_passed_on() -> None:
    core = make()
    core.receive(report(NEXT_UNKNOWN, FeedState.WAITING), len(report(0)), 0.1)
    assert kinds(core) == [Feed.WAITING]
    core.receive(report(0, FeedState.CUT, since=1.5), len(report(0)), 0.2)
    (event,) = core.parent.events()
    assert event.kind is Feed.CUT
    core.receive(report(0, FeedState.CUT, no_way=True), len(report(0)), 0.25)
    assert kinds(core) == [Feed.NO_WAY]
    core.receive(report(0, FeedState.FED), len(report(0)), 0.3)
    assert kinds(core) == []  # it stays cut until media comes
    core.receive(train(0, 1).data, SIZE, 0.4)
    assert kinds(core) == [Feed.FED]


def test_child_that_waits_for_a_keyframe_is_not_starved() -> None:
    core = make()
    for turn in range(30):
        core.receive(report(NEXT_UNKNOWN), len(report(0)), turn / 10)
        core.on_time(turn / 10)
    assert kinds(core) == [Feed.WAITING]
    assert core.stream.reception.start is None


def test_that_a_parent_refuses_is_told_once() -> None:
    core = make()
    for turn in range(10):
        core.parent.refused(turn / 10)
        core.on_time(turn / 10)
    assert kinds(core) == [Feed.REFUSED]


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


def test_missing_numbers_are_asked_for_at_once_and_again_twice_in_the_time_of_an_answer() -> None:
    core = make(65_530)
    core.on_time(0.0)
    core.receive(train(65_530, 5).data, SIZE, 0.1)  # a round trip of 100 ms
    core.on_time(0.1)
    core.receive(train(65_537, 5).data, SIZE, 0.11)
    patience = core.parent.round_trip.patience
    assert 0.1 < patience <= 0.2
    asked = [now for now, packet in run(core, 0.11, 1.0, 0.01) if _nacks(packet)]
    pauses = [b - a for a, b in pairwise(asked)]
    assert asked[0] == 0.11
    assert all(abs(pause - patience / 2) < 0.015 for pause in pauses[:HASTY_ASKS])
    assert all(abs(pause - patience) < 0.015 for pause in pauses[HASTY_ASKS:])
    packet = core.on_time(1.2)
    assert packet is not None
    assert _nacks(packet) == [65_535, 0]
    (late,) = core.receive(train(65_535, 2).data, SIZE, 1.25)
    assert numbers_of([late]) == [65_535, 65_536]
    assert core.stream.counters().repaired == 2
    assert core.stream.counters().nack_sent == len(asked) + 1
    assert not any(_nacks(packet) for _, packet in run(core, 1.3, 2.0))


def test_what_is_too_old_is_asked_for_no_more() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 0.0)
    core.receive(train(7, 5).data, SIZE, 0.01)
    asked = list[float]()
    for number in range(12, 400):  # media goes on
        now = 0.01 * (number - 11)
        packet = core.on_time(now)
        asked += [now] if packet and _nacks(packet) else []
        core.receive(train(number, 1).data, SIZE, now)
    assert DEFAULT_TIMING.repair - 0.1 < asked[-1] <= 0.01 + DEFAULT_TIMING.repair


def test_round_trip_is_not_taken_from_a_hello_that_may_not_be_the_one_that_was_answered() -> None:
    core = make()
    run(core, 0.0, 0.41, 0.01)  # an answer that takes 400 ms finds several hellos said
    core.receive(train(0, 5).data, SIZE, 0.42)
    assert core.parent.counters().round_trip_ms is None


def test_round_trip_is_measured_all_the_time_by_what_the_parent_answers() -> None:
    core = make()
    core.receive(train(0, 5).data, SIZE, 1.0)
    for turn in range(1, 40):
        now = 1.0 + turn * 0.25
        packet = core.on_time(now)
        said = () if packet is None else unpack_compound(packet)
        told = next((part for part in said if isinstance(part, ExtendedReport)), None)
        if told is not None and told.reference is not None:
            answer = ReferenceDelay(SPEAKER.ssrc, middle32(told.reference), delay=65_536 // 10)
            core.receive(report(5, answer=answer), len(report(5, answer=answer)), now + 0.1 + 0.04)
    measured = core.parent.counters().round_trip_ms
    assert measured is not None
    assert abs(measured - 40) < 1


def test_who_is_told_that_its_reports_are_not_heard_reports_sooner() -> None:
    core = make()
    core.receive(report(0), len(report(0)), 0.0)
    said = list[float]()
    for number in range(400):
        now = number / 100
        core.receive(train(number, 1).data, SIZE, now)
        if number in (100, 200, 205, 210):  # an SR each second; then three that answer what was said long ago
            reference = middle32(reference_time(said[-1] if number == 100 else 0.9))
            age = now - (said[-1] if number == 100 else 0.9)
            packet = report(number, answer=ReferenceDelay(SPEAKER.ssrc, reference, int(age * 65_536)))
            core.receive(packet, len(packet), now)
        if core.on_time(now) is not None:
            said.append(now)
    early = [round(b - a, 2) for a, b in pairwise(said) if b - a < DEFAULT_TIMING.report - 0.01 and a > 0.9]
    assert len(early) == 2
    assert min(early) >= DEFAULT_TIMING.unheard_report
    measured = core.parent.counters().round_trip_ms
    assert measured is not None
    assert measured < 20  # what is told again and again is measured once


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
