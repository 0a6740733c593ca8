"""Contents are made and prepared once: a terminal shows how far that is, nothing else hears of it."""

import contextlib
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.tiny import TINY
from helpers import wait_until
from machine import need_ffmpeg
from mcast.errors import ConfigError
from tools.demo.check import sent_by
from tools.demo.contents import Picture, make
from tools.demo.overlay import DemoOverlay


@contextlib.contextmanager
def stderr_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let this process's stderr be a terminal; give our end of it."""
    ours, its = pty.openpty()
    os.set_blocking(ours, False)
    try:
        with open(its, "w") as terminal, monkeypatch.context() as patch:  # noqa: PTH123 -- a descriptor
            patch.setattr(sys, "stderr", terminal)
            yield ours
    finally:
        os.close(ours)


def shown_at(terminal: int) -> str:
    """Return what a terminal has been sent until a bar was cleared."""
    said = b""

    def is_cleared() -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError):
            said += os.read(terminal, 65_536)
        return said.endswith(b"\r\x1b[K")

    wait_until(is_cleared, "the bar to be cleared")
    return said.decode()


def test_a_terminal_shows_how_far_the_demonstrations_contents_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_ffmpeg()
    with stderr_at_a_terminal(monkeypatch) as terminal:
        source = make(TINY, tmp_path)
        making = shown_at(terminal)
        DemoOverlay(tmp_path, {"tiny": source}, tmp_path / "cache").prepare()
        preparing = shown_at(terminal)
    for what, said in (("making", making), ("preparing", preparing)):
        assert said.startswith(f"\r{what} tiny [")
        assert " %" in said
        assert "\n" not in said  # one line, which is written anew


def test_what_is_no_terminal_gets_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    need_ffmpeg()
    source = make(TINY, tmp_path)
    DemoOverlay(tmp_path, {"tiny": source}, tmp_path / "cache").prepare()
    assert (tmp_path / "cache").is_dir()
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_made_or_prepared_is_named_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    need_ffmpeg()
    with pytest.raises(ConfigError, match=r"tiny\.mp4: ffmpeg cannot read it"):
        make(Picture("tiny", "no_such_source", ""), tmp_path / "contents")
    assert [each.name for each in (tmp_path / "contents").iterdir()] == [".tiny.lock"]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(1000))
    with pytest.raises(ConfigError, match=r"broken\.mp4: ffmpeg cannot read it"):
        sent_by(broken, tmp_path / "cache")
