"""Joined recordings: the clock jumps at each seam, the film goes on."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from mcast.media.source import prepare as prepare_module
from mcast.media.source.complaints import SourceError
from mcast.media.source.encoding import Recipe
from media.source.clips import AAC, X264, description, film, make, picture, prepared, sound
from media.source.transport import complaints, packets

Part = Callable[[float], Path]


MOST_WORK = 10.0
"""Seconds of a processor for 8 s of film, ten times what they take; to fill a gap of an hour takes 200."""


def work_done() -> float:
    """Return the seconds of a processor that child processes have taken: a busy machine adds nothing."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Return 4 s of film whose clock begins at some second."""
    directory = tmp_path_factory.mktemp("parts")

    def make_part(begins: float) -> Path:
        path = directory / f"{begins}.ts"
        return path if path.exists() else film(path, 4, "-output_ts_offset", str(begins))

    return make_part


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(0, 3_600, id="forward by an hour"),
        pytest.param(0, 0, id="back to the beginning"),
        pytest.param(36_000, 0, id="back by ten hours"),
        pytest.param(0, 9, id="forward by five seconds"),
        pytest.param(5, 3, id="back by six seconds"),
        pytest.param(95_439.7, 0, id="over the wrap of 33 bits"),
    ],
)
def test_a_joined_recording_lasts_as_long_as_its_parts(
    part: Part, tmp_path: Path, first: float, second: float
) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part(first).read_bytes() + part(second).read_bytes())
    before = work_done()
    entry = prepared(joined, tmp_path / "cache")
    assert work_done() - before < MOST_WORK
    assert description(entry).period / 90_000 == pytest.approx(8.0, abs=0.1)
    assert description(entry).packets * 188 < 4 * joined.stat().st_size
    assert complaints(entry / "stream.ts") == ""
    for kind in ("video", "audio"):
        times = [float(row[1]) for row in packets(entry / "stream.ts") if row[0] == kind]
        assert max(after - before for before, after in zip(times, times[1:], strict=False)) < 0.3, kind  # noqa: RUF007


def test_a_pause_of_the_picture_alone_is_no_seam(tmp_path: Path) -> None:
    """A radio's picture that changes each few seconds beside sound that goes on keeps its rhythm."""
    slow = make(tmp_path / "slow.ts", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=1/3:duration=9",
                *sound(9), *X264, *AAC)  # fmt: skip
    entry = prepared(slow, tmp_path / "cache")
    assert description(entry).period / 90_000 == pytest.approx(9.0, abs=0.3)


def test_a_file_of_holes_is_refused_before_hours_are_spent_on_it(tmp_path: Path) -> None:
    jump = "setpts=PTS+gte(N\\,50)*36000/TB"
    torn = make(tmp_path / "torn.mkv", *picture(4), "-vf", jump, "-fps_mode", "passthrough", *X264)
    with pytest.raises(SourceError, match="its packets last 4 s, but its timestamps span 36004 s") as caught:
        prepared(torn, tmp_path / "cache")
    assert "write it anew: ffmpeg -i" in caught.value.mend


def test_a_preparation_that_grows_beyond_all_bounds_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object, **__: object) -> Recipe:
        return Recipe((*picture(10_000), *X264, "-f", "mpegts"), 1.0, ("libx264",), False, "endless")

    monkeypatch.setattr(prepare_module, "decide", endless)
    with pytest.raises(SourceError, match=r"stopped at \d+ s: its packets last 1 s"):
        prepared(film(tmp_path / "film.mp4", 1), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/"))
