"""Errors that blame the right thing: what stopped ffmpeg, and how that is mended."""

import errno
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from mcast.errors import ConfigError
from mcast.media.source import cache as cache_module
from mcast.media.source import ffmpeg
from mcast.media.source.cache import Cache, default_cache
from mcast.media.source.catalogue import Catalogue
from mcast.media.source.complaints import FREE_SPACE, REACHABLE, SourceError, of_ffmpeg, of_system
from mcast.media.source.encoding import DEFAULT_QUALITY, Quality
from mcast.media.source.prepare import check, prepare
from mcast.media.source.probe import probe
from mcast.media.source.server_config import ContentSpec
from mcast.media.source.tracks import NO_WISH
from mcast.roles.server.main import main
from media.source.clips import film, make, picture, prepared


@pytest.mark.parametrize(
    ("lines", "cause", "mend"),
    [
        (
            ["Unknown encoder 'libx264'", "Error opening output files: Encoder not found"],
            "ffmpeg cannot write it: Unknown encoder 'libx264'",
            "install an ffmpeg that has it: ",
        ),
        (
            [
                "[h264 @ 0x5581] error while decoding MB 3 4",
                "av_interleaved_write_frame(): No space left on device",
                "Error writing trailer of pipe:1: No space left on device",
                "Conversion failed!",
            ],
            "ffmpeg cannot write it: av_interleaved_write_frame(): No space left on device",
            FREE_SPACE,
        ),
        (["film.mp4: Permission denied"], "Permission denied", "let the user that runs mcast-server read it"),
        (
            ["[hls @ 0x7f] Protocol 'https' not on whitelist 'file,crypto,data'!", "x: Invalid argument"],
            "Protocol 'https' not on whitelist 'file,crypto,data'!",
            "-protocol_whitelist",
        ),
        (["[tcp @ 0x1] Connection to tcp://h:1 failed: Connection refused", "rtsp://h: Connection refused"],
         "Connection to tcp://h:1 failed: Connection refused", REACHABLE),
        (["https://h/x: Server returned 404 Not Found"], "https://h/x: Server returned 404", REACHABLE),
        (
            ["[mov,mp4 @ 0x5] moov atom not found", "film.mp4: Invalid data found when processing input"],
            "moov atom not found",
            "the file is not whole",
        ),
        (["something odd", "Conversion failed!"], "something odd", "give a file that ffplay can play"),
        ([], "exit status 9", "give a file that ffplay can play"),
    ],
)  # fmt: skip
def test_the_line_that_names_the_cause_is_found_and_has_its_own_mend(
    lines: list[str], cause: str, mend: str
) -> None:
    error = of_ffmpeg(lines, "film.mp4", 9)
    cause = cause if cause.startswith("ffmpeg") else f"ffmpeg cannot read it: {cause}"
    assert str(error).startswith(cause)
    assert mend in error.mend


def test_a_cause_that_many_lines_have_followed_is_still_known(tmp_path: Path) -> None:
    tool = script(tmp_path / "noisy", "echo 'film: Permission denied' >&2; seq 10000 >&2; exit 1")
    with ffmpeg.Child([str(tool)]) as child:
        child.wait(20)
    assert str(child.complaint("film")) == "ffmpeg cannot read it: Permission denied"


def script(path: Path, code: str) -> Path:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg as Fedora ships it."""
    real = shutil.which("ffmpeg")
    directory = tmp_path / "bin"
    directory.mkdir()
    lists = f'{real} "$@" | grep -v libx264'
    script(directory / "ffmpeg", f'case "$*" in *-encoders*) {lists};; *) exec {real} "$@";; esac')
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.usefixtures("without_x264")
def test_a_missing_encoder_is_found_at_start_and_named_with_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "old.avi", *picture(1), "-c:v", "mpeg4")
    for text in (
        '[[content]]\nname="old"\nsource="old.avi"\n',
        '[[content]]\nname="live"\nsource="testsrc2"\nformat="lavfi"\n',
    ):
        config = tmp_path / "server.toml"
        config.write_text(text)
        options = ["--config", str(config), "--cache", str(tmp_path / "cache"), "--address", "127.0.0.1:0"]
        assert main(options) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "ffmpeg has no encoder libx264; install an ffmpeg that has it: sudo " in error


def test_what_need_not_be_encoded_needs_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "fit.mp4", 2)
    monkeypatch.setattr(ffmpeg, "_encoders", lambda _tool: frozenset({"png"}))
    check(path, DEFAULT_QUALITY, NO_WISH)
    prepared(path, tmp_path / "cache")
    with pytest.raises(ConfigError, match="has no encoder libx264"):
        check(path, Quality(max_bit_rate=100_000), NO_WISH)


def test_what_the_file_system_has_against_a_source_is_said(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(SourceError, match=r"^no such file$") as caught:
        cache.digest_of(tmp_path / "gone.mp4", lambda: False)
    assert caught.value.mend == "check the path; it is tried again when the file is there"
    with pytest.raises(SourceError, match=r"^Is a directory$"):
        cache.digest_of(tmp_path, lambda: False)
    denied = of_system(PermissionError(errno.EACCES, "Permission denied"))
    assert (str(denied), denied.mend) == ("Permission denied", "let the user that runs mcast-server read it")


def test_a_file_that_changes_while_it_is_read_is_said_to_and_leaves_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 1)
    touched = threading.Event()

    def grow() -> bool:
        if not touched.is_set() and list(tmp_path.glob("cache/*.tmp")):
            touched.set()
            with path.open("ab") as file:
                file.write(b"more")
        return False

    with pytest.raises(SourceError, match="it changed while it was read") as caught:
        prepare(path, DEFAULT_QUALITY, Cache(tmp_path / "cache"), cancelled=grow, on_progress=lambda _: None)
    assert "tried again when it has come to rest" in caught.value.mend
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]


def test_a_full_disk_is_no_fault_of_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "film.mp4", 1)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "_sync", full)
    with pytest.raises(ConfigError, match=r"No space left on device; free some space, or .*--cache DIR"):
        prepared(path, tmp_path / "cache")
    catalogue = Catalogue([ContentSpec("film", str(path), path)], Path("s.toml"), Cache(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="No space left"):
        catalogue.prepare_all()
    assert "ffplay" not in catalogue.describe("film", ()).format


def test_a_user_without_a_home_is_told_of_the_cache_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match=r"user \d+ has no home directory; .* --cache DIR"):
        default_cache()


def test_a_playlist_that_names_another_protocol_is_told_how_to_allow_it(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttps://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(SourceError, match="not on whitelist") as caught:
        probe(str(path))
    assert 'input_options = ["-protocol_whitelist"' in caught.value.mend
