"""Where viewers may begin in a transport stream that was made elsewhere."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mcast.media.source.cutting import Cut, Cutter
from mcast.media.source.framing import MAX_HELD, MAX_UNTIMED, Copied, Run
from mcast.wire.mpegts import PACKET, PAT_PID, pid_at, starts_with_pat
from media.source.foreign import (
    CODECS,
    FOREIGN_SECONDS,
    foreign,
    later,
    scrambled,
    with_table,
    without_indicators,
    without_tables,
)
from media.source.transport import PMT, packet, packets, pat_section, pmt_section

pytestmark = pytest.mark.ffmpeg


@pytest.fixture(scope="module")
def clip(shared_directory: Path) -> Callable[[str], Path]:
    """Give the streams of `foreign`."""
    return partial(foreign, shared_directory)


def framed(data: bytes, size: int = 4_000) -> tuple[list[Run], Copied]:
    copied, runs = Copied(), list[Run]()
    for at in range(0, len(data), size):
        runs += copied.feed(data[at : at + size])
    return runs, copied


def joined(runs: list[Run]) -> bytes:
    return b"".join(run.packets for run in runs)


@pytest.mark.parametrize("has_indicators", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_the_table_before_each_keyframe_is_found(
    clip: Callable[[str], Path], codec: str, has_indicators: bool
) -> None:
    data = clip(codec).read_bytes()
    data = data if has_indicators else without_indicators(data)
    runs, copied = framed(data)
    assert data.startswith(joined(runs))
    assert sum(bool(run.is_start) for run in runs) == 4
    assert all(pid_at(run.packets, 0) == PAT_PID for run in runs if run.is_start)
    assert copied.clock == 0x100


@pytest.mark.parametrize("name", ["many", "multiplex", "dvb"])
def test_the_programme_is_found_however_long_its_table_is_and_whatever_stands_before_it(
    clip: Callable[[str], Path], name: str
) -> None:
    data = clip(name).read_bytes()
    runs, copied = framed(data, 1_316)
    assert data.startswith(joined(runs))
    assert sum(bool(run.is_start) for run in runs) == 4
    assert copied.clock == {"multiplex": 0x101}.get(name, 0x100)


def test_a_programme_that_was_filtered_out_of_a_multiplex_is_known_though_the_pat_names_others_first(
    clip: Callable[[str], Path],
) -> None:
    data = with_table(clip("h264").read_bytes(), PAT_PID, pat_section({0: 0x10, 7: 0x700, 1: PMT, 9: 0x900}))
    runs, copied = framed(data)
    assert data.startswith(joined(runs))
    assert sum(bool(run.is_start) for run in runs) == 4
    assert copied.clock == 0x100


def test_a_clock_that_does_not_tick_where_the_table_says_is_looked_for_everywhere(
    clip: Callable[[str], Path],
) -> None:
    table = pmt_section([(0x100, 0x1B), (0x101, 0x03)], clock=0x1F0)
    data = with_table(clip("h264").read_bytes(), PMT, table)
    copied, cutter, clocks = Copied(), Cutter(7), list[int | None]()
    for _ in range(MAX_UNTIMED * PACKET // len(data) + 2):
        for each in copied.feed(data):
            cutter.feed(
                each.packets, is_start=each.is_start, clock=copied.clock
            )  # or it would raise an error
        clocks.append(copied.clock)
    assert (clocks[0], clocks[-1]) == (0x1F0, None)


def test_what_is_scrambled_is_media_and_begun_at_its_marks(clip: Callable[[str], Path]) -> None:
    data = scrambled(clip("h264").read_bytes())
    runs, copied = framed(data, len(data))
    assert copied.has_media
    assert sum(bool(run.is_start) for run in runs) == 4


def test_a_stream_whose_programme_cannot_be_read_is_media_and_cut_by_time(
    clip: Callable[[str], Path],
) -> None:
    data = without_tables(without_indicators(clip("h264").read_bytes()))
    data += later(data, FOREIGN_SECONDS, is_marked=False)
    copied, runs, had_media = Copied(), list[Run](), set[bool]()
    for at in range(0, len(data), 40_000):
        runs += copied.feed(data[at : at + 40_000])
        had_media.add(copied.has_media)
    assert had_media == {True}
    assert data.startswith(joined(runs))
    assert sum(bool(run.is_start) for run in runs) == 3  # after 3, 5 and 7 of 8 seconds
    assert copied.clock is None


def test_where_there_is_only_sound_a_viewer_may_begin_each_two_seconds(clip: Callable[[str], Path]) -> None:
    runs, _ = framed(clip("sound").read_bytes())
    assert sum(bool(run.is_start) for run in runs) == 2


def test_every_packet_goes_out_and_only_datagrams_of_keyframes_begin_with_a_table(
    clip: Callable[[str], Path],
) -> None:
    data = clip("h264").read_bytes()
    runs, copied = framed(data)
    cutter, cuts = Cutter(7), list[Cut]()
    for each in runs:
        cuts += cutter.feed(each.packets, is_start=each.is_start, clock=copied.clock)
    cuts += cutter.finish()
    real = [cut for cut in cuts if cut.packets]
    assert [n for cut in real for n in range(cut.first, cut.first + cut.packets)] == list(
        range(len(joined(runs)) // PACKET)
    )
    heads = [starts_with_pat(data, cut.first * PACKET) for cut in real]
    assert heads == [cut.keyframe for cut in real]
    assert sum(heads) == 4
    assert data.count(b"\x47\x40\x00") > 30  # tables there are many more
    assert len(packets(clip("h264"))) > 100


def test_what_is_held_back_is_bounded(clip: Callable[[str], Path]) -> None:
    tables = clip("h264").read_bytes()[: 3 * PACKET]
    copied = Copied()
    copied.feed(tables)
    came = joined(copied.feed(packet(0x300) * (MAX_HELD + 1)))
    assert len(came) >= (MAX_HELD + 1) * PACKET


def test_tables_alone_are_no_media(clip: Callable[[str], Path]) -> None:
    data = clip("h264").read_bytes()
    copied = Copied()
    copied.feed(data[: 3 * PACKET])
    assert not copied.has_media
    copied.feed(data[3 * PACKET : 50 * PACKET])
    assert copied.has_media
