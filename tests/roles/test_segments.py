"""A recording in numbered files: each decodes by itself, and all of them are the stream."""

import resource
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import locked, wait_until
from machine import need_ffmpeg
from mcast.errors import ConfigError
from mcast.gateway.pieces import PieceCutter
from mcast.media.output import Writer
from mcast.net.threads import CrashBox
from mcast.roles.client.segments import SegmentStore, check_folder
from mcast.wire.mpegts import PACKET, pid_at
from media.source.foreign import CODECS, FOREIGN_SECONDS, foreign, later, without_indicators
from media.source.transport import complaints, packets, run

pytestmark = pytest.mark.ffmpeg

SECONDS = 3


@pytest.fixture(scope="module")
def clip(shared_directory: Path) -> bytes:
    """Three seconds of picture and sound, a keyframe every 0.4 s."""
    need_ffmpeg()
    file = shared_directory / "to-be-segmented.ts"
    with locked(shared_directory / "to-be-segmented.lock"):
        if not file.exists():
            picture = f"testsrc2=size=160x120:rate=25:duration={SECONDS}"
            run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i",
                f"sine=duration={SECONDS}", "-c:v", "libx264", "-preset", "fast", "-g", "10",
                "-sc_threshold", "0", "-c:a", "aac", "-f", "mpegts", file)  # fmt: skip
    return file.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "news"


def record(folder: Path, *parts: bytes, seconds: float = 1.0, is_over: bool = True) -> None:
    store = SegmentStore(folder, seconds)
    for part in parts:
        store.write(part, lambda: False)
    store.finish(is_over=is_over)
    store.close()


def in_pieces(data: bytes, packets: int = 37) -> Iterator[bytes]:
    return (data[at : at + packets * PACKET] for at in range(0, len(data), packets * PACKET))


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.suffix == ".ts")


def media_of(data: bytes) -> dict[int, bytes]:
    """Return the packets of picture and sound, by PID."""
    found: dict[int, bytearray] = defaultdict(bytearray)
    for at in range(0, len(data), PACKET):
        found[pid_at(data, at)] += data[at : at + PACKET]
    return {pid: bytes(each) for pid, each in found.items() if pid in (0x100, 0x101)}


def listed(folder: Path) -> list[str]:
    return [line for line in (folder / "index.m3u8").read_text().splitlines() if not line.startswith("#")]


def test_each_file_decodes_by_itself_and_all_are_the_stream(folder: Path, clip: bytes) -> None:
    record(folder, *in_pieces(clip))
    assert files(folder) == listed(folder) == ["00001.ts", "00002.ts", "00003.ts"]
    recorded = [(folder / name).read_bytes() for name in files(folder)]
    for name, data in zip(files(folder), recorded, strict=True):
        assert data[1:3] == b"\x40\x00"  # a PAT
        assert complaints(folder / name) == ""
    assert media_of(b"".join(recorded)) == media_of(clip)


def test_players_take_the_list(folder: Path, clip: bytes) -> None:
    record(folder, *in_pieces(clip))
    text = (folder / "index.m3u8").read_text()
    seconds = [float(line[8:-1]) for line in text.splitlines() if line.startswith("#EXTINF:")]
    assert seconds[:2] == [1.2, 1.2]
    assert sum(seconds) == pytest.approx(SECONDS, abs=0.1)
    assert "#EXT-X-TARGETDURATION:2" in text
    assert text.endswith("#EXT-X-ENDLIST\n")
    frames = [each for each in packets(folder / "index.m3u8") if each[0] == "video"]
    assert len(frames) == SECONDS * 25


def test_ffmpeg_plays_the_list_without_a_word(folder: Path, clip: bytes) -> None:
    record(folder, *in_pieces(clip))
    assert complaints(folder / "index.m3u8") == ""


def test_what_is_killed_leaves_whole_files_and_a_list_of_them(folder: Path, clip: bytes) -> None:
    store = SegmentStore(folder, 1.0)
    for part in in_pieces(clip):
        store.write(part, lambda: False)
    assert listed(folder) == ["00001.ts", "00002.ts"]  # as after kill -9
    assert files(folder) == ["00001.ts", "00002.ts", "00003.ts"]
    assert packets(folder / "00003.ts")
    store.close()


def test_no_file_is_begun_for_half_a_picture(folder: Path, clip: bytes) -> None:
    cut = sum(len(piece.data) for piece in PieceCutter().feed(clip)[:3])  # a keyframe every 0.4 s
    record(folder, clip[: cut + 5 * PACKET], is_over=False)
    assert files(folder) == listed(folder) == ["00001.ts"]
    assert complaints(folder / "00001.ts") == ""


def test_a_recording_is_gone_on_with(folder: Path, clip: bytes) -> None:
    record(folder, *in_pieces(clip), is_over=False)
    record(folder, *in_pieces(clip))
    names = [f"0000{number}.ts" for number in range(1, 7)]
    assert files(folder) == listed(folder) == names
    text = (folder / "index.m3u8").read_text()
    assert text.count("#EXT-X-ENDLIST") == text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert complaints(folder / "00003.ts") == ""


def test_a_clock_that_leaps_begins_a_file(folder: Path, clip: bytes) -> None:
    record(folder, *in_pieces(clip + clip), seconds=60)
    assert files(folder) == ["00001.ts", "00002.ts"]
    assert (folder / "index.m3u8").read_text().count("#EXT-X-DISCONTINUITY\n") == 1
    assert complaints(folder / "00001.ts") == ""


def test_a_break_that_the_stream_marks_begins_a_file_however_near_the_new_clock_is(
    folder: Path, clip: bytes
) -> None:
    record(folder, *in_pieces(clip + later(clip, SECONDS + 3, is_marked=True)), seconds=60)
    text = (folder / "index.m3u8").read_text()
    assert files(folder) == ["00001.ts", "00002.ts"]
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert float(text.partition("#EXTINF:")[2].partition(",")[0]) == pytest.approx(SECONDS, abs=0.1)
    assert complaints(folder / "00001.ts") == ""


def test_another_stream_of_the_content_begins_a_file(folder: Path, clip: bytes) -> None:
    output = Writer(SegmentStore(folder, 60), CrashBox(threading.Event()))
    output.write(clip)
    output.begin_anew()
    output.write(later(clip, SECONDS, is_marked=False))
    assert output.close(is_over=True) is None
    assert files(folder) == ["00001.ts", "00002.ts"]
    assert (folder / "index.m3u8").read_text().count("#EXT-X-DISCONTINUITY\n") == 1


@pytest.mark.parametrize("has_indicators", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_what_was_copied_is_cut_at_its_keyframes_whatever_its_muxer_marks(
    folder: Path, shared_directory: Path, codec: str, has_indicators: bool
) -> None:
    data = foreign(shared_directory, codec).read_bytes()
    record(folder, *in_pieces(data if has_indicators else without_indicators(data)))
    assert files(folder) == [f"0000{number}.ts" for number in range(1, FOREIGN_SECONDS + 1)]


def test_a_stream_of_twenty_sounds_is_cut_at_its_keyframes_and_each_file_decodes(
    folder: Path, shared_directory: Path
) -> None:
    data = foreign(shared_directory, "many").read_bytes()
    record(folder, *in_pieces(data))
    assert files(folder) == [f"0000{number}.ts" for number in range(1, FOREIGN_SECONDS + 1)]
    assert [complaints(folder / name) for name in files(folder)] == [""] * FOREIGN_SECONDS


def test_a_full_disk_is_one_error_and_what_was_written_plays(folder: Path, clip: bytes) -> None:
    crash = CrashBox(threading.Event())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(clip) // 2, before[1]))
        output = Writer(SegmentStore(folder, 60), crash)
        for part in in_pieces(clip):
            output.write(part)
        wait_until(output.ended, "the disk to be full")
        ended = output.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert ended is not None
    assert f"cannot write to {folder}" in str(ended.error)
    assert listed(folder) == ["00001.ts"]
    assert complaints(folder / "00001.ts") == ""


def test_one_folder_is_for_one_recording(folder: Path) -> None:
    first = SegmentStore(folder, 1.0)
    with pytest.raises(ConfigError, match="another mcast records there"):
        SegmentStore(folder, 1.0)
    first.close()
    SegmentStore(folder, 1.0).close()


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("file", "wants a folder"),
        ("nowhere", "No such"),
        ("list", "lists no recording"),
        ("numbers", "lists no"),
    ],
)
def test_where_there_can_be_none_is_a_configuration_error(what: str, complaint: str, tmp_path: Path) -> None:
    folder = tmp_path / "news"
    if what == "file":
        folder.touch()
    elif what == "nowhere":
        folder = folder / "deep"
    else:
        folder.mkdir()
        text = "#EXTM3U\n#EXTINF:long,\n" if what == "numbers" else "my music"
        (folder / "index.m3u8").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        check_folder(folder)
