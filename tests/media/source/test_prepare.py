import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import wait_until
from mcast.errors import ConfigError
from mcast.media.cancelling import CancelledError
from mcast.media.source import ts_inspection
from mcast.media.source.cache import Cache
from mcast.media.source.complaints import SourceError
from mcast.media.source.encoding import DEFAULT_QUALITY, Quality
from mcast.media.source.prepare import Description, is_prepared, prepare
from mcast.media.source.ts_inspection import survey
from media.source.transport import VIDEO, complaints, first_packets, packets

Make = Callable[[str], Path]


def description(entry: Path) -> Description:
    return Description.from_json((entry / "stream.json").read_bytes())


def never() -> bool:
    return False


def ignore(_: float) -> None:
    pass


@pytest.mark.parametrize(
    "name", ["fit.mp4", "open.mp4", "sparse.mp4", "picture.mp4", "short-sound.mp4", "old.avi"]
)
def test_keyframes_are_idr_at_most_2_s_apart_behind_pat_and_pmt(entry: Make, name: str) -> None:
    stream = entry(name) / "stream.ts"
    data = stream.read_bytes()
    found = survey(data, has_video=True)
    assert found.fault == ""
    for table in found.keyframes:
        assert first_packets(data, [table, table + 1, table + 2]) == [0, 0x1000, VIDEO]
    video = [row for row in packets(stream, "codec_type,dts_time,flags") if row[0] == "video"]
    keys = [float(row[1]) for row in video if "K" in row[2]]
    assert len(keys) == len(found.keyframes)
    ends = [*keys, keys[0] + description(entry(name)).period / 90_000]
    assert max(after - before for before, after in zip(ends, ends[1:], strict=False)) <= 2.05  # noqa: RUF007
    assert SDT not in set(first_packets(data, range(len(data) // 188)))


SDT = 0x11


def test_a_fit_source_is_copied_and_another_is_encoded(
    source: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name, said in {
        "fit.mp4": "picture: copy; sound: copy",
        "open.mp4": "cannot be copied: keyframe in packet",
        "sparse.mp4": "picture: encode (keyframes more than 2 s apart)",
        "short-sound.mp4": "picture: copy; sound: encode (it begins or ends with another time",
        "long-sound.mp4": "picture: encode (shorter than the sound)",
        "old.avi": "picture: encode (mpeg4 yuv420p); sound: encode (mp3)",
    }.items():
        caplog.clear()
        prepare(source(name), DEFAULT_QUALITY, Cache(tmp_path), cancelled=never, on_progress=ignore)
        assert said in caplog.text


@pytest.mark.parametrize("name", ["constant.mp4", "delimited.mp4"])
def test_a_decoder_that_begins_at_any_keyframe_knows_what_that_refers_to(
    source: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.INFO)
    entry = prepare(source(name), DEFAULT_QUALITY, Cache(tmp_path), cancelled=never, on_progress=ignore)
    assert caplog.messages[-2] == f"{name}: picture: copy with its parameter sets in front"
    data, later = (entry / "stream.ts").read_bytes(), tmp_path / "later.ts"
    later.write_bytes(data[survey(data, has_video=True).keyframes[1] * 188 :])
    assert complaints(later) == ""


def test_a_bit_rate_that_is_given_makes_even_a_fit_source_be_encoded(source: Make, tmp_path: Path) -> None:
    quality = Quality(max_bit_rate=100_000)
    entry = prepare(source("fit.mp4"), quality, Cache(tmp_path), cancelled=never, on_progress=ignore)
    found = description(entry)
    assert found.counters[VIDEO] * 188 * 8 / 4 < 200_000


@pytest.mark.parametrize("name", ["short-sound.mp4", "long-sound.mp4", "old.avi", "fit.mp4"])
def test_picture_and_sound_end_together(entry: Make, name: str) -> None:
    stream = entry(name) / "stream.ts"
    ends = {
        kind: max(float(dts) + float(length) for row, dts, length, *_ in packets(stream) if row == kind)
        for kind in ("video", "audio")
    }
    assert abs(ends["video"] - ends["audio"]) < 0.1
    assert (4 if name != "long-sound.mp4" else 6) == pytest.approx(
        description(entry(name)).period / 90_000, abs=0.1
    )


def test_sound_alone_and_a_cover_picture_give_sound_with_a_table_each_2_5_s(entry: Make) -> None:
    for name in ("sound.mp3", "cover.mp3"):
        found, stream = description(entry(name)), entry(name) / "stream.ts"
        assert (found.codecs, found.width) == ("aac", 0)
        assert {row[0] for row in packets(stream, "codec_type,dts_time")} == {"audio"}
        assert len(survey(stream.read_bytes(), has_video=False).keyframes) == 2


def test_a_still_picture_becomes_ten_seconds_of_video_with_even_sides(entry: Make) -> None:
    found = description(entry("still.png"))
    assert (found.codecs, found.width, found.height, found.frame_rate_milli) == ("h264", 322, 182, 5_000)
    assert found.period == 10 * 90_000


@pytest.mark.parametrize("name", ["fit.mp4", "old.avi"])
def test_the_same_source_gives_the_same_bytes_again_even_on_one_core(
    source: Make, entry: Make, tmp_path: Path, name: str
) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        again = prepare(source(name), DEFAULT_QUALITY, Cache(tmp_path), cancelled=never, on_progress=ignore)
    finally:
        os.sched_setaffinity(0, cores)
    assert (again / "stream.ts").read_bytes() == (entry(name) / "stream.ts").read_bytes()
    assert (again / "stream.json").read_bytes() == (entry(name) / "stream.json").read_bytes()


def test_the_description_tells_the_truth(entry: Make) -> None:
    found, data = description(entry("fit.mp4")), (entry("fit.mp4") / "stream.ts").read_bytes()
    assert found.packets * 188 == len(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert (found.codecs, found.width, found.height, found.frame_rate_milli) == ("h264/aac", 320, 180, 25_000)


def test_a_second_time_nothing_is_made_but_a_changed_source_is_made_anew(
    source: Make, tmp_path: Path
) -> None:
    cache, film = Cache(tmp_path / "cache"), tmp_path / "film.mp4"
    film.write_bytes(source("fit.mp4").read_bytes())
    progress: list[float] = []
    entry = prepare(film, DEFAULT_QUALITY, cache, cancelled=never, on_progress=progress.append)
    assert progress == sorted(progress)
    assert progress
    assert 0 < progress[-1] <= 1
    assert is_prepared(film, DEFAULT_QUALITY, cache, never)
    progress.clear()
    assert prepare(film, DEFAULT_QUALITY, cache, cancelled=never, on_progress=progress.append) == entry
    assert not progress
    film.write_bytes(source("picture.mp4").read_bytes())
    assert not is_prepared(film, DEFAULT_QUALITY, cache, never)
    assert prepare(film, DEFAULT_QUALITY, cache, cancelled=never, on_progress=ignore) != entry


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"this is no video\n", "ffmpeg cannot read it"),
        (b"", "ffmpeg cannot read it"),
        (b"1\n00:00:00,000 --> 00:00:02,000\nhi\n", "neither picture nor sound"),
    ],
)
def test_what_ffmpeg_cannot_read_is_refused_and_leaves_nothing(
    tmp_path: Path, content: bytes, why: str
) -> None:
    film = tmp_path / "film.srt"
    film.write_bytes(content)
    cache = Cache(tmp_path / "cache")
    with pytest.raises(SourceError, match=why) as caught:
        prepare(film, DEFAULT_QUALITY, cache, cancelled=never, on_progress=ignore)
    assert "\n" not in str(caught.value)
    assert not [path for path in cache.directory.iterdir() if path.is_dir()]


def test_a_source_cut_off_in_the_middle_is_refused(source: Make, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(source("fit.mp4").read_bytes()[:30_000])
    with pytest.raises(SourceError, match="ffmpeg cannot read it"):
        prepare(film, DEFAULT_QUALITY, Cache(tmp_path / "cache"), cancelled=never, on_progress=ignore)


def test_a_cancelled_preparation_ends_soon_and_leaves_nothing(source: Make, tmp_path: Path) -> None:
    cache, cancel = Cache(tmp_path), threading.Event()
    with pytest.raises(CancelledError):
        prepare(
            source("old.avi"),
            DEFAULT_QUALITY,
            cache,
            cancelled=cancel.is_set,
            on_progress=lambda _: cancel.set(),
        )
    assert not [path for path in cache.directory.iterdir() if path.is_dir()]


KILLED = """
import os, signal, sys
from pathlib import Path
from mcast.media.source.cache import Cache
from mcast.media.source.encoding import DEFAULT_QUALITY
from mcast.media.source.prepare import prepare
prepare(Path(sys.argv[1]), DEFAULT_QUALITY, Cache(Path(sys.argv[2])), cancelled=lambda: False,
        on_progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_preparation_leaves_no_half_entry_and_the_next_one_cleans_up(
    source: Make, tmp_path: Path
) -> None:
    died = subprocess.run([sys.executable, "-c", KILLED, source("old.avi"), tmp_path], check=False)
    assert died.returncode == -9
    cache = Cache(tmp_path)
    assert not is_prepared(source("old.avi"), DEFAULT_QUALITY, cache, never)
    assert list(tmp_path.glob("*.tmp"))
    entry = prepare(source("old.avi"), DEFAULT_QUALITY, cache, cancelled=never, on_progress=ignore)
    assert description(entry).packets
    assert not list(tmp_path.glob("*.tmp"))


def test_two_servers_that_share_a_cache_prepare_a_source_once(source: Make, tmp_path: Path) -> None:
    progress: list[list[float]] = [[], []]
    entries: list[Path] = []

    def server(number: int) -> None:
        entries.append(
            prepare(
                source("old.avi"),
                DEFAULT_QUALITY,
                Cache(tmp_path),
                cancelled=never,
                on_progress=progress[number].append,
            )
        )

    threads = [threading.Thread(target=server, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert entries[0] == entries[1]
    assert sum(map(bool, progress)) == 1


def test_waiting_for_another_server_can_be_cancelled(tmp_path: Path) -> None:
    cache, cancel, waits = Cache(tmp_path), threading.Event(), threading.Event()
    with cache.lock("key", never, lambda: None):
        errors: list[BaseException] = []

        def other() -> None:
            try:
                with cache.lock("key", cancel.is_set, waits.set):
                    pass
            except CancelledError as error:
                errors.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        assert waits.wait(5)
        cancel.set()
        thread.join(5)
        assert errors


def test_ctrl_c_while_the_result_is_looked_through_is_what_the_caller_hears(
    source: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback holds the packet that was looked at."""

    def interrupt(packets: bytes, offset: int) -> None:
        raise KeyboardInterrupt(f"{len(packets)} bytes, {offset}")

    monkeypatch.setattr(ts_inspection, "pes_at", interrupt)
    with pytest.raises(KeyboardInterrupt, match="188 bytes, 0"):
        prepare(source("fit.mp4"), DEFAULT_QUALITY, Cache(tmp_path), cancelled=never, on_progress=print)


def test_with_umask_0_nothing_is_left_that_others_may_write(source: Make, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = Cache(tmp_path / "cache")
        prepare(source("fit.mp4"), DEFAULT_QUALITY, cache, cancelled=never, on_progress=ignore)
    finally:
        os.umask(before)
    for path in [cache.directory, *cache.directory.rglob("*")]:
        assert not path.stat().st_mode & 0o022, path


def test_a_cache_that_cannot_be_made_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file.*--cache DIR"):
        Cache(tmp_path / "file" / "cache")


def test_damaged_digests_are_only_a_lost_shortcut(tmp_path: Path) -> None:
    film, cache = tmp_path / "film", Cache(tmp_path / "cache")
    film.write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    for damage in (
        "",
        "[]",
        "{",
        json.dumps({str(film.resolve()): 7}),
        json.dumps({str(film.resolve()): [0, 0]}),
    ):
        (cache.directory / "sources.json").write_text(damage)
        assert cache.digest_of(film, never) == expected
        assert cache.digest_of(film, never) == expected


def test_ffmpeg_ends_with_the_process_that_prepares(source: Make, tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", KILLED, source("old.avi"), tmp_path], check=False)
    assert died.returncode == -signal.SIGKILL  # at the first word of ffmpeg's progress
    wait_until(lambda: not _running_ffmpegs(source("old.avi").resolve()), "ffmpeg to end")


def _running_ffmpegs(source: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if command[0].endswith(b"/ffmpeg") and os.fsencode(source) in command:
                found.append(process.name)
        except OSError:
            continue
    return found
