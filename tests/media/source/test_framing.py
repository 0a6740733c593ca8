"""Where viewers may begin in a transport stream that was made elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import locked
from machine import need_ffmpeg
from mcast.media.source.cutting import Cut, Cutter
from mcast.media.source.framing import MAX_HELD, Copied, Run
from mcast.wire.mpegts import PACKET, PAT_PID, pid_at, starts_with_pat
from media.source.transport import packet, packets, run

pytestmark = pytest.mark.ffmpeg

CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast"),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "mpeg2": ("-c:v", "mpeg2video", "-b:v", "1M"),
}
SOUND = ("-f", "lavfi", "-i", "sine=duration=4", "-c:a", "mp2")


@pytest.fixture(scope="module")
def clip(shared_directory: Path) -> Callable[[str], Path]:
    """Make four seconds as a muxer makes them that knows nothing of us; a keyframe each second."""
    need_ffmpeg()

    def make(name: str) -> Path:
        file = shared_directory / f"foreign-{name}.ts"
        picture = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=4")
        arguments = SOUND if name == "sound" else (*picture, *SOUND, *CODECS[name], "-g", "25", "-bf", "0")
        with locked(shared_directory / f"foreign-{name}.lock"):
            if not file.exists():
                run("ffmpeg", "-v", "error", *arguments, "-f", "mpegts", file)
        return file

    return make


def framed(data: bytes, size: int = 4_000) -> tuple[list[Run], Copied]:
    copied, runs = Copied(), list[Run]()
    for at in range(0, len(data), size):
        runs += copied.feed(data[at : at + size])
    return runs, copied


def joined(runs: list[Run]) -> bytes:
    return b"".join(run.packets for run in runs)


def without_indicators(data: bytes) -> bytes:
    """Clear each random access indicator, as some muxers set none."""
    changed = bytearray(data)
    for at in range(0, len(data), PACKET):
        if data[at + 3] & 0x20 and data[at + 4]:
            changed[at + 5] &= ~0x40
    return bytes(changed)


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
