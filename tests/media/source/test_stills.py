"""A still is one picture and nothing else, whatever it lies in; what has more moves."""

from pathlib import Path

import pytest

from media.source.clips import X264, description, make, picture, prepared, shown

SECOND = 90_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("still.png", ()),
        ("still.jpg", ()),
        ("still.bmp", ()),
        ("still.gif", ()),
        ("still.webp", ()),
        ("still.mp4", X264),
        ("still.mkv", X264),
        ("still.ts", X264),
    ],
)
def test_one_picture_is_a_still_whatever_its_container(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = make(tmp_path / name, *picture(1), "-frames:v", "1", *options)
    entry = prepared(path, tmp_path / "cache")
    found = description(entry)
    assert (found.period, found.frame_rate_milli, found.width) == (10 * SECOND, 5_000, 160)
    assert len(shown(entry / "stream.ts", "packet=size", "-select_streams", "v")) == 50


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_joined_pictures_move(tmp_path: Path, kind: str) -> None:
    make(tmp_path / f"%02d.{kind}", *picture(2))
    joined = tmp_path / f"series.{kind}"
    joined.write_bytes(b"".join(path.read_bytes() for path in sorted(tmp_path.glob(f"[0-9]*.{kind}"))))
    entry = prepared(joined, tmp_path / "cache")
    assert description(entry).period == pytest.approx(2 * SECOND, abs=SECOND // 10)
    assert pictures_differ(entry / "stream.ts") > 45


@pytest.mark.parametrize("name", ["moves.gif", "moves.apng", "moves.mjpeg"])
def test_animated_pictures_move(tmp_path: Path, name: str) -> None:
    entry = prepared(make(tmp_path / name, *picture(2)), tmp_path / "cache")
    assert description(entry).period == pytest.approx(2 * SECOND, abs=SECOND // 10)
    assert pictures_differ(entry / "stream.ts") > 40


def test_the_small_picture_that_a_camera_puts_behind_the_large_one_is_no_film(tmp_path: Path) -> None:
    large = make(tmp_path / "large.jpg", *picture(1), "-frames:v", "1")
    small = make(tmp_path / "small.jpg", *picture(1, "80x46"), "-frames:v", "1")
    large.write_bytes(large.read_bytes() + small.read_bytes())
    found = description(prepared(large, tmp_path / "cache"))
    assert (found.period, found.width) == (10 * SECOND, 160)


def pictures_differ(stream: Path) -> int:
    """Count the different pictures of a stream."""
    lines = shown(stream, "packet=size", "-select_streams", "v")
    assert lines
    from media.source.transport import run

    hashes = run("ffmpeg", "-nostdin", "-v", "error", "-i", stream, "-map", "0:v", "-f", "framemd5", "-")
    return len({line.rsplit(",", 1)[1] for line in hashes.splitlines() if not line.startswith("#")})
