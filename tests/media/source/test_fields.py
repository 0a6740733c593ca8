"""Interlaced sources: whole pictures come out, or the fields in their order, as the operator likes."""

import logging
import re
import subprocess
from pathlib import Path

import pytest

from mcast.media.source.encoding import Quality, live_arguments
from mcast.media.source.live_tracks import live_tracks
from mcast.media.source.probe import probe
from mcast.media.source.tracks import NO_WISH
from media.source.clips import X264, make, prepared, streams
from media.source.transport import run


def idet(path: Path) -> dict[str, int]:
    """Let ffmpeg judge by the pictures themselves: how many are interlaced, and how."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-i", path, "-map", "0:v:0", "-vf", "idet", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in done.stderr.splitlines() if "Multi frame detection" in line)
    return {
        name: int(count) for name, count in re.findall(r"(TFF|BFF|Progressive|Undetermined): *(\d+)", line)
    }


# Soft pictures that move: the finest lines of a sharp test picture look interlaced to idet by themselves.
SOFT = "testsrc=size=320x180:rate=50:duration=2,gblur=sigma=3,scroll=horizontal=0.01"
MOVING = ("-f", "lavfi", "-i", SOFT)


def interlaced(path: Path, *encoder: str, first: str = "tff") -> Path:
    mode = "interleave_top" if first == "tff" else "interleave_bottom"
    return make(path, *MOVING, "-vf", f"tinterlace={mode}", *encoder)


MPEG2 = ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "3")
H264 = (*X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1")


@pytest.mark.parametrize(("name", "encoder"), [("dvb.ts", MPEG2), ("camera.mp4", H264)])
def test_an_interlaced_source_comes_out_as_whole_pictures(
    tmp_path: Path, name: str, encoder: tuple[str, ...]
) -> None:
    path = interlaced(tmp_path / name, *encoder)
    before = idet(path)
    assert before["TFF"] > 40, "the clip is what it should be"
    stream = prepared(path, tmp_path / "cache") / "stream.ts"
    found = idet(stream)
    assert found["TFF"] + found["BFF"] <= 2, found
    assert found["Progressive"] > 40
    assert streams(stream, "field_order", "r_frame_rate") == [("progressive", "25/1")]


@pytest.mark.parametrize("first", ["tff", "bff"])
def test_fields_that_are_kept_keep_their_order_when_encoded(tmp_path: Path, first: str) -> None:
    path = interlaced(tmp_path / "dvb.ts", *MPEG2, "-top", "1" if first == "tff" else "0", first=first)
    stream = prepared(path, tmp_path / "cache", Quality(deint="keep")) / "stream.ts"
    found, other = idet(stream), "BFF" if first == "tff" else "TFF"
    assert found[first.upper()] > 40, found
    assert found[other] == 0
    assert streams(stream, "field_order") == [("tt" if first == "tff" else "bb",)]


def test_fields_that_are_kept_are_copied_where_that_is_possible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = interlaced(tmp_path / "camera.mp4", *H264)
    stream = prepared(path, tmp_path / "cache", Quality(deint="keep")) / "stream.ts"
    assert streams(stream, "field_order") == [("tt",)]
    assert idet(stream)["TFF"] > 40
    assert "picture: copy" in caplog.text


def test_off_takes_pictures_as_they_are(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "dvb.ts", *MPEG2)
    stream = prepared(path, tmp_path / "cache", Quality(deint="off")) / "stream.ts"
    assert streams(stream, "field_order") == [("progressive",)]
    assert idet(stream)["TFF"] > 40


def test_a_progressive_source_is_still_copied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = make(tmp_path / "film.mp4", *MOVING, "-r", "25", *X264)
    stream = prepared(path, tmp_path / "cache") / "stream.ts"
    assert "picture: copy" in caplog.text
    found = idet(stream)
    assert (found["TFF"], found["BFF"]) == (0, 0)


@pytest.mark.parametrize(("deint", "whole"), [("auto", True), ("keep", False)])
def test_a_live_input_with_fields_is_treated_alike(tmp_path: Path, deint: str, whole: bool) -> None:
    path, out = interlaced(tmp_path / "dvb.ts", *MPEG2), tmp_path / "live.ts"
    tracks = live_tracks(probe(str(path)), NO_WISH)
    arguments = live_arguments(
        ("-i", str(path)), tracks.maps, Quality(deint=deint), may_have_fields=tracks.may_have_fields,
        is_top_first=tracks.is_top_first, offset=None,
    )  # fmt: skip
    run("ffmpeg", "-nostdin", "-v", "error", *arguments, "-f", "mpegts", out)
    found = idet(out)
    assert (found["Progressive"] > 40, found["TFF"] > 40) == (whole, not whole), found
