"""A cache does not grow for ever: what nobody used for long goes, what is in use stays."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import Recorder, line_with, wait_until
from mcast.media.source.cache import Cache
from mcast.media.source.cache_upkeep import clean, describe, entries
from mcast.media.source.catalogue import Catalogue
from mcast.media.source.prepared import Prepared
from mcast.media.source.server_config import ContentSpec
from mcast.roles.server.main import main
from media.source.clips import film, prepared

DAY = 86_400


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "clip.mp4", 1)


@pytest.fixture(scope="module")
def made(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one entry."""
    directory = tmp_path_factory.mktemp("made")
    prepared(clip, directory)
    return directory


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "cache"))


def only_entry(cache: Path) -> Path:
    (found,) = (path for path in cache.iterdir() if path.is_dir() and not path.suffix)
    return found


def age(entry: Path, days: float) -> None:
    moment = time.time() - days * DAY
    os.utime(entry / "stream.json", (moment, moment))


def test_an_entry_that_nobody_used_for_30_days_goes_and_a_younger_one_stays(cache: Path) -> None:
    entry = only_entry(cache)
    size = sum(file.stat().st_size for file in entry.iterdir())
    age(entry, 29.9)
    assert clean(cache, 30).entries == 0
    age(entry, 30.1)
    freed = clean(cache, 30)
    assert (freed.entries, freed.bytes) == (1, size)
    assert not [path for path in cache.iterdir() if path.name != "sources.json"], "neither lock nor rest"


def test_an_entry_that_is_played_stays_however_old_and_its_use_is_noted(cache: Path) -> None:
    entry = only_entry(cache)
    with Prepared(entry, 7, loop=True):
        age(entry, 400)
        assert [found.in_use for found in entries(cache)] == [True]
        assert clean(cache, 0).entries == 0
    assert entries(cache)[0].last_used == pytest.approx(time.time(), abs=60)
    assert clean(cache, 1).entries == 0


def test_what_a_server_looks_up_is_used(clip: Path, cache: Path) -> None:
    age(only_entry(cache), 400)
    assert prepared(clip, cache) == only_entry(cache)
    assert clean(cache, 1).entries == 0


def test_leftovers_without_a_lock_holder_go_and_those_with_one_stay(cache: Path) -> None:
    dead, alive = "a" * 32, "b" * 32
    for key in (dead, alive):
        (cache / f"{key}.123.tmp").mkdir()
        (cache / f"{key}.123.tmp" / "stream.ts").write_bytes(b"x" * 1000)
    (cache / ("c" * 32)).mkdir()  # a removal that was interrupted
    with Cache(cache).lock(alive, lambda: False, lambda: None):
        freed = clean(cache, 30)
        assert (freed.leftovers, freed.bytes) == (1, 1000)
        assert (cache / f"{alive}.123.tmp").exists()
        assert (cache / f"{alive}.lock").exists()
    assert not (cache / f"{dead}.123.tmp").exists()
    assert not (cache / f"{dead}.lock").exists()
    assert not (cache / ("c" * 32)).exists()


def test_foreign_files_in_the_directory_are_never_touched(tmp_path: Path) -> None:
    for name in ("photos", "film.123.tmp", "a" * 31, "notes.lock"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert clean(tmp_path, 0).entries == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert clean(tmp_path / "nowhere", 0).entries == 0


def test_a_lock_that_was_cleaned_away_is_not_held_by_two(tmp_path: Path) -> None:
    """One waits for a lock, whose file a clean-up removes: it must not take the removed one."""
    key = "d" * 32
    cache = Cache(tmp_path)
    holder = os.open(tmp_path / f"{key}.lock", os.O_RDWR | os.O_CREAT)
    waits = Recorder()
    code = "import fcntl, signal; fcntl.flock(0, fcntl.LOCK_EX); print('held', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=holder, stdout=subprocess.PIPE) as process:

        def on_wait() -> None:
            waits(None)
            (tmp_path / f"{key}.lock").unlink()
            process.kill()

        try:
            line_with(b"held", process, process.stdout)
            os.close(holder)
            with cache.lock(key, lambda: False, on_wait), cache_is_locked_for_others(tmp_path, key):
                pass
        finally:
            process.kill()
    assert len(waits) == 1


class cache_is_locked_for_others:  # noqa: N801 -- reads as a sentence
    def __init__(self, directory: Path, key: str) -> None:
        self._directory, self._key = directory, key

    def __enter__(self) -> None:
        code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        path = self._directory / f"{self._key}.lock"
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
        assert b"BlockingIOError" in done.stderr

    def __exit__(self, *_: object) -> None:
        pass


def test_the_list_names_sources_sizes_and_ages(clip: Path, cache: Path) -> None:
    age(only_entry(cache), 12)
    lines = describe(cache, entries(cache)).splitlines()
    assert lines[0].startswith(f"{cache}: 1 contents, 0.")
    assert lines[1].split()[:2] == ["12", "days"]
    assert lines[1].endswith(f"{only_entry(cache).name}  {clip}")


def test_the_options_of_the_server_list_and_clean_its_cache(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cache-list", "--cache", str(cache)]) == 0
    assert "1 contents" in capsys.readouterr().out
    age(only_entry(cache), 31)
    config = tmp_path / "server.toml"
    config.write_text('cache = "cache"\n[[content]]\nname="x"\nsource="y"\n')
    assert main(["--cache-clean", "--cache-list", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "removed 1 contents unused for 30 days and 0 leftovers" in out
    assert "0 contents" in out
    assert main(["--cache-clean", "--cache-days", "-1"]) == 2


def test_a_server_cleans_the_cache_after_it_has_opened_its_own(clip: Path, cache: Path) -> None:
    old = Path(shutil.copytree(only_entry(cache), cache / ("e" * 32)))
    for entry in (old, only_entry_of(cache, clip)):
        age(entry, 99)
    crashes = Recorder()
    catalogue = Catalogue(
        [ContentSpec("clip", str(clip), clip)], Path("server.toml"), Cache(cache), cache_days=30
    )
    catalogue.start(lambda: None, crashes)
    wait_until(lambda: not old.exists(), "the old one to go")
    assert catalogue.prepared("clip")
    catalogue.stop()
    assert not crashes.calls


def only_entry_of(cache: Path, clip: Path) -> Path:
    (found,) = (entry for entry in entries(cache) if entry.source == str(clip) and entry.key != "e" * 32)
    return cache / found.key
