"""One bad file of several: the others are served; it is named, and tried again when it changes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import Recorder, wait_until
from mcast.errors import ConfigError
from mcast.media.source import catalogue as catalogue_module
from mcast.media.source.cache import Cache
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.server_config import ContentSpec
from mcast.roles.server.main import main
from mcast.wire.position import Position
from mcast.wire.server import Contents, Readiness, SendStatus
from media.source.clips import film

LONG = 60.0  # seconds: a preparation on a busy machine


def spec(path: Path) -> ContentSpec:
    return ContentSpec(path.stem, str(path), path)


@contextmanager
def running(contents: list[ContentSpec], cache: Path) -> Iterator[tuple[Catalogue, Recorder]]:
    crashes, changes = Recorder(), Recorder()
    catalogue = Catalogue(contents, Path("server.toml"), Cache(cache))
    try:
        catalogue.check()
        catalogue.start(lambda: changes(None), crashes)
        yield catalogue, changes
    finally:
        catalogue.stop()
    assert not crashes.calls


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return film(tmp_path / "good.mp4", 1)


@pytest.fixture
def also_good(tmp_path: Path) -> Path:
    return film(tmp_path / "also_good.mp4", 1.2)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.mp4"
    path.write_bytes(b"this is no film\n" * 100)
    return path


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "LOOK_EACH", 0.1)


def test_the_good_files_are_served_and_the_bad_one_is_listed_with_its_reason(
    good: Path, bad: Path, also_good: Path, tmp_path: Path
) -> None:
    with running([spec(good), spec(bad), spec(also_good)], tmp_path / "cache") as (catalogue, _):
        wait_until(lambda: catalogue.prepared("also_good"), "the last one", LONG)
        assert [catalogue.describe(name, ()).format.split(":")[0] for name in catalogue.names] == [
            "h264/aac",
            "failed",
            "h264/aac",
        ]
        assert "ffmpeg cannot read it" in catalogue.describe("bad", ()).format
        ready, problem = catalogue.state().split("; ")
        assert ready == "2 of 3 contents are ready"
        assert problem.startswith("bad: failed: ffmpeg cannot read it")
        with pytest.raises(NotReadyError, match=rf"content 'bad': source: {bad}: ffmpeg cannot") as caught:
            catalogue.open_source("bad", Position(1, 0))
        assert caught.value.status is SendStatus.ERROR


def test_a_bad_file_is_tried_again_when_it_has_changed(
    good: Path, bad: Path, also_good: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.mp4"
    with running([spec(good), spec(bad), spec(missing)], tmp_path / "cache") as (catalogue, _):
        wait_until(lambda: catalogue.prepared("good"), "the good one", LONG)
        assert "no such file" in catalogue.describe("missing", ()).format
        shutil.copy(also_good, bad)
        shutil.copy(also_good, missing)
        for name in ("bad", "missing"):
            wait_until(lambda name=name: catalogue.prepared(name), name, LONG)  # type: ignore[misc]


def test_a_server_that_could_serve_nothing_does_not_start(bad: Path, tmp_path: Path) -> None:
    catalogue = Catalogue([spec(bad)], Path("server.toml"), Cache(tmp_path / "cache"))
    with pytest.raises(ConfigError, match=rf"server\.toml: content 'bad': source: {bad}: ffmpeg cannot"):
        catalogue.check()


def test_the_list_fits_its_frame_however_many_files_fail(tmp_path: Path) -> None:
    specs = [
        ContentSpec(f"{number:03}" + "n" * 252, "x", tmp_path / ("ü" * 80) / f"{number}")
        for number in range(500)
    ]
    catalogue = Catalogue(specs, Path("server.toml"), Cache(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="no such file"):
        catalogue.check()
    assert len(Contents(tuple(catalogue.describe(name, ()) for name in catalogue.names)).pack()) < 262_144


def test_prepare_does_all_that_it_can_and_names_the_rest(
    good: Path, bad: Path, also_good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(
        "".join(f'[[content]]\nname="{p.stem}"\nsource="{p}"\n' for p in (bad, good, also_good))
    )
    assert main(["--config", str(config), "--prepare", "--cache", str(tmp_path / "cache")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        f"mcast-server: error: {config}: content 'bad': source: {bad}: ffmpeg cannot read"
    )
    assert len(list((tmp_path / "cache").glob("*/stream.ts"))) == 2
    config.write_text(config.read_text() + '[[content]]\nname="gone"\nsource="gone.mp4"\n')
    assert main(["--config", str(config), "--prepare", "--cache", str(tmp_path / "cache")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be prepared: 'bad', 'gone'; the first because of" in error


def test_the_file_read_again_adds_removes_and_retries_while_streams_run_on(
    good: Path, bad: Path, also_good: Path, tmp_path: Path
) -> None:
    with running([spec(good), spec(bad)], tmp_path / "cache") as (catalogue, changes):
        wait_until(lambda: catalogue.prepared("good"), "the good one", LONG)
        runs = catalogue.open_source("good", Position(1, 0))
        count = len(changes)
        catalogue.reload([spec(bad), spec(also_good)])
        changes.wait_for(count + 1)
        assert catalogue.names == ("bad", "also_good")
        with pytest.raises(NotReadyError) as caught:
            catalogue.open_source("good", Position(1, 0))
        assert caught.value.status is SendStatus.ABSENT
        assert runs.due(float("1e9")), "its bytes are still there"
        runs.close()
        wait_until(lambda: catalogue.prepared("also_good"), "the new one", LONG)
        wait_until(lambda: catalogue.describe("bad", ()).format.startswith("failed"), "its second failure")
        same = catalogue.prepared("also_good")
        catalogue.reload([spec(also_good)])
        assert catalogue.prepared("also_good") is same, "what did not change is not made again"


def test_while_it_is_prepared_list_and_answer_say_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "TELL_EACH", 0.0)
    path = film(tmp_path / "slow.mp4", 4)
    catalogue = Catalogue([spec(path)], Path("server.toml"), Cache(tmp_path / "cache"))
    listed: list[str] = []
    answered: list[str] = []

    def on_progress(*_: object, **arguments: object) -> Path:
        report = arguments["on_progress"]
        assert callable(report)
        report(0.434)
        raise AssertionError("reported")

    def note() -> None:
        info = catalogue.describe("slow", ())
        assert info.readiness is Readiness.PREPARING
        listed.append(info.format)
        with pytest.raises(NotReadyError) as caught:
            catalogue.open_source("slow", Position(1, 0))
        assert caught.value.status is SendStatus.PREPARING
        answered.append(str(caught.value))

    monkeypatch.setattr(catalogue_module, "prepare", on_progress)
    crashes = Recorder()
    assert catalogue.describe("slow", ()).format == "preparing"
    catalogue.start(note, crashes)
    crashes.wait_for()
    catalogue.stop()
    assert (listed, answered) == (["preparing 43 %"], ["preparing 43 %"])


def test_the_line_of_state_names_the_first_contents_that_are_not_ready(tmp_path: Path) -> None:
    contents = [spec(tmp_path / f"film{number}.mp4") for number in range(9)]
    state = Catalogue(contents, Path("server.toml"), Cache(tmp_path / "cache")).state()
    assert state.startswith("0 of 9 contents are ready; film0: preparing; film1: preparing; ")
    assert state.endswith("film4: preparing")
