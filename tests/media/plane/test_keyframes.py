"""Where a stream may be begun, whatever its tables say, and where they say nothing."""

from collections.abc import Iterable, Iterator

import pytest

from mcast.media.keyframes import LONGEST, SOUND_SECONDS, TABLE_SECONDS, Keyframes
from mcast.wire.mpegts import PACKET, pid_at
from media.source.transport import PMT, in_packets, packet, pat_section, pes, pmt_section

CLOCK = 90_000
VIDEO, SOUND, TEXT = 0x100, 0x101, 0x102
TABLES = [
    *in_packets(0, [pat_section({1: PMT})]),
    *in_packets(PMT, [pmt_section([(VIDEO, 0x1B), (SOUND, 0x03)])]),
]


def pictures(begin: float, end: float, *, pid: int = VIDEO, every: int = 0) -> Iterator[tuple[float, bytes]]:
    """Give ten pictures a second; each `every`th is marked as a keyframe."""
    for number in range(round((end - begin) * 10)):
        time = begin + number / 10
        mark = time * 27_000_000 if every and number % every == 0 else None
        pcr = None if mark is None else round(mark)
        yield time, packet(pid, start=True, pcr=pcr, body=pes(round(time * CLOCK)))


def sounds(
    begin: float, end: float, *, stream: int = 0xC0, pid: int = SOUND
) -> Iterator[tuple[float, bytes]]:
    for number in range(round((end - begin) * 20)):
        time = begin + number / 20
        yield time, packet(pid, start=True, pcr=0, body=pes(round(time * CLOCK), stream=stream))


def starts(judge: Keyframes, *streams: Iterable[tuple[float, bytes]]) -> list[tuple[float, int]]:
    """Give the times and PIDs where a viewer may begin, all streams one beside the other."""
    merged = sorted((each for stream in streams for each in stream), key=lambda each: each[0])
    return [(round(time, 2), pid_at(each, 0)) for time, each in merged if judge.begins(each)]


@pytest.fixture
def judge() -> Keyframes:
    """One that knows the tables."""
    judge = Keyframes()
    for each in TABLES:
        judge.take_table(each)
    return judge


def test_a_marked_picture_is_a_start_and_the_sound_beside_it_is_none(judge: Keyframes) -> None:
    found = starts(judge, pictures(0, 6, every=25), sounds(0, 6))
    assert found == [(0, VIDEO), (2.5, VIDEO), (5, VIDEO)]


def test_without_tables_a_picture_is_found_by_its_packets_after_a_while() -> None:
    judge = Keyframes()
    found = starts(judge, sounds(0, 10), pictures(0, 10, every=25))
    assert found == [(5, VIDEO), (7.5, VIDEO)]
    assert found[0][0] >= TABLE_SECONDS
    assert (judge.leading, judge.clock, judge.tables) == (VIDEO, None, ())


def test_without_tables_and_marks_time_cuts_it() -> None:
    found = [time for time, _ in starts(Keyframes(), sounds(0, 10), pictures(0, 10))]
    assert found == pytest.approx([3, 5, 7, 9])


def test_without_tables_sound_alone_is_cut_by_time() -> None:
    text = sounds(0, 10, stream=0xBD, pid=TEXT)
    found = starts(Keyframes(), text, sounds(0, 10))
    assert {pid for _, pid in found} == {SOUND}
    assert [time for time, _ in found] == pytest.approx([3, 5, 7, 9], abs=0.1)


def test_tables_that_come_late_decide_from_then_on() -> None:
    judge = Keyframes()
    assert starts(judge, pictures(0, 5, every=25), sounds(0, 5)) == []
    for each in TABLES:
        judge.take_table(each)
    assert starts(judge, pictures(5, 10, every=25), sounds(5, 10)) == [(5, VIDEO), (7.5, VIDEO)]
    assert judge.clock == VIDEO


def test_where_the_picture_that_the_tables_name_never_comes_the_sound_decides(judge: Keyframes) -> None:
    found = starts(judge, sounds(0, 8))
    assert {pid for _, pid in found} == {SOUND}
    assert [time for time, _ in found] == pytest.approx([3, 5, 7], abs=0.1)
    assert judge.programme.video == VIDEO
    assert starts(judge, sounds(8, 10), pictures(8, 10, every=10)) == [(8, VIDEO), (9, VIDEO)]


def test_a_picture_that_pauses_is_waited_for_longer(judge: Keyframes) -> None:
    found = starts(judge, pictures(0, 1, every=10), sounds(0, 20), pictures(18, 20, every=10))
    assert [pid for _, pid in found] == [VIDEO, SOUND, SOUND, SOUND, VIDEO, VIDEO]
    assert found[1][0] == pytest.approx(1 + LONGEST + SOUND_SECONDS, abs=0.3)


def test_slow_pictures_leave_no_room_for_a_stand_in(judge: Keyframes) -> None:
    slow = [(float(time), next(pictures(time, time + 1, every=10))[1]) for time in range(0, 30, 5)]
    assert {pid for _, pid in starts(judge, slow, sounds(0, 30))} == {VIDEO}


def test_where_one_programme_is_off_the_air_the_next_one_decides() -> None:
    judge, second = Keyframes(), 0x300
    for each in (
        *in_packets(0, [pat_section({1: PMT, 2: 0x200})]),
        *in_packets(PMT, [pmt_section([(VIDEO, 0x1B)], 1)]),
        *in_packets(0x200, [pmt_section([(second, 0x1B)], 2, clock=second)]),
    ):
        judge.take_table(each)
    assert judge.leading == VIDEO
    found = starts(judge, pictures(0, 8, pid=second, every=10))
    assert found == [(time, second) for time in (4, 5, 6, 7)]
    assert (judge.leading, judge.clock) == (second, second)


def test_a_leap_of_the_clock_is_no_time_that_passes(judge: Keyframes) -> None:
    leaping = [sound for begin in (0, 500, 100, 900) for sound in sounds(begin, begin + 0.5)]
    assert [each for _, each in leaping if judge.begins(each)] == []


def test_all_packets_of_a_table_are_looked_at_as_soon_as_the_pat_has_named_it() -> None:
    judge = Keyframes()
    long = in_packets(PMT, [pmt_section([(0x100 + n, 0x03) for n in range(150)])])
    packets = b"".join([*long, *TABLES[:1], *long, packet(0x300)])
    looked_at = []
    for number in judge.telling(packets):
        looked_at.append(number)
        judge.take_table(packets[number * PACKET : (number + 1) * PACKET])
    assert looked_at == [0, 4, 5, *range(6, 11)], "before, only where something begins, or a field is"
