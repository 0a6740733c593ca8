"""`mcast-bootstrap top`: in a terminal, without one, and what can be wrong with its options."""

import contextlib
import curses
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from fixtures import crash
from helpers import PATIENCE, Recorder, wait_until
from mcast.config.key_file import KeyRing
from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.roles.bootstrap.main import main
from mcast.roles.bootstrap.top import Source, Top
from mcast.web.access import Access
from mcast.web.service import Settings
from mcast.wire.health import EventReport
from monitoring.overlays import SCRIPT, MadeUp, small
from tools.demo.processes import environment_with

__all__ = ["crash"]
KEY = "0123456789abcdef"


@contextlib.contextmanager
def shown(
    crash: Recorder, overlay: MadeUp, access: Access | None = None, *,
    port: int = 0, events: tuple[str, ...] = ("[news] n2 attached below rp > n1",),
) -> Iterator[str]:  # fmt: skip
    store = EventStore()
    store.add("n1", [EventReport("attached", text, content="news") for text in events])
    settings = Settings(HostPort("127.0.0.1", port), access or Access())
    with OverlayPage(settings, overlay.view, store, crash) as page:
        yield f"http://{page.address}"


def test_without_a_terminal_it_prints_what_there_is(
    crash: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(crash, small()) as url:
        assert main(["top", "--http-url", f"{url}/"]) == 0
    told = capsys.readouterr().out
    assert "     └─ n2" in told
    assert "n1: [news] n2 attached below rp > n1" in told


def test_where_a_key_is_wanted_it_is_shown(
    crash: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    with shown(crash, small(), Access(KeyRing((KEY.encode(),)))) as url:
        assert main(["top", "--http-url", url]) == 4
        assert "answers 401: a key is needed" in capsys.readouterr().err
        assert main(["top", "--http-url", url, "--http-key-file", str(key), "--once"]) == 0


def test_a_key_in_the_url_is_shown_to_the_page_and_to_nobody_else(
    crash: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "@/:%?#0123456789"  # its characters have a meaning in URLs
    (tmp_path / "key").write_text(KEY)
    with shown(crash, small(), Access(KeyRing((key.encode(),)))) as url:
        place = url.removeprefix("http://")
        good, bad = (f"http://any:{quote(each, safe='')}@{place}" for each in (key, KEY))
        assert main(["top", "--http-url", good]) == 0
        assert "n1: [news] n2 attached" in capsys.readouterr().out
        assert main(["top", "--http-url", bad]) == 4
        assert main(["top", "--http-url", good, "--http-key-file", str(tmp_path / "key")]) == 2
    refused, both = capsys.readouterr().err.splitlines()
    assert f"http://{place} answers 401: a key is needed" in refused
    assert "--http-key-file and a key in --http-url exclude each other" in both
    assert KEY not in refused


@pytest.mark.parametrize(
    ("url", "complaint"),
    [(f"http://any:{KEY}@", "'http://' is no URL"), (f"http://any:{KEY}@h:x", "'http://h:x' is no URL"),
     (f"ftp://any:{KEY}@h", "'ftp://h' is no URL"), (f"http://any:1/{KEY}@h", "'http://h' is no URL"),
     (f"http://any:1?{KEY}@h", "'http://h' is no URL"), (f"http://any//:{KEY}\n@h", "'http://h' is no URL"),
     (f"any:{KEY}@h:8080", "'h:8080' is no URL"), (f"http:/any:{KEY}@h", "'h' is no URL"),
     (f"http://any:{KEY}%0A@h/", "the password in http://h/: a key is ASCII without spaces"),
     (f"http://any:{KEY[:5]}@h", "the password in http://h: a key of 5 characters"),
     (f"http://any:{KEY}%FF@h", "ASCII without spaces")],
)  # fmt: skip
def test_a_url_that_is_wrong_is_complained_of_without_its_key(
    url: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--http-url", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert KEY[:5] not in line


def test_a_proxy_that_the_environment_names_is_not_asked(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with shown(crash, small()) as url:
        assert main(["top", "--http-url", url]) == 0


def test_a_python_without_curses_prints_and_says_what_it_cannot_do(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mcast.roles.bootstrap.top.curses", None)
    with shown(crash, small()) as url:
        assert main(["top", "--http-url", url, "--once"]) == 0
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: True)
        assert main(["top", "--http-url", url]) == 2
    assert "this Python has no curses module: try --once" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:y", "http://[", ""])
def test_what_is_no_url_is_one_line_and_status_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--http-url", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is no URL such as http://127.0.0.1:8080" in line


def test_where_nobody_answers_or_somebody_else_does_is_one_line_and_status_4(
    crash: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(crash, small()) as url:
        assert main(["top", "--http-url", f"{url}/healthz"]) == 4
    assert main(["top", "--http-url", url]) == 4
    first, second = capsys.readouterr().err.splitlines()
    assert "answers 404" in first
    assert "is no overlay's page: " in second


def test_who_waits_for_an_answer_is_told_what_for(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["top", "--http-url", url]) == 4
    waiting, error = capsys.readouterr().err.splitlines()
    assert f"waiting: an answer of {url}" in waiting
    assert "is no overlay's page: timed out" in error


class Terminal:
    """A program at a terminal of 30 lines and 100 columns."""

    def __init__(self, *arguments: str) -> None:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mcast", "bootstrap", "top", *arguments],
            stdin=its, stdout=its, stderr=its, env=environment_with({"TERM": "xterm"}), process_group=0,
        )  # fmt: skip
        os.close(its)
        os.set_blocking(ours, False)
        self._ours, self._said = ours, b""

    def read(self) -> str:
        """Return all that it has written so far."""
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._ours, 65_536):
                self._said += data
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", self._said.decode(errors="replace"))

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.read(), text)

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> int:
        """Return its exit status."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)


def test_in_a_terminal_it_goes_on_until_q_is_pressed(crash: Recorder) -> None:
    overlay = small()
    with shown(crash, overlay) as url:
        terminal = Terminal("--http-url", url)
        try:
            terminal.wait_for("4 nodes up")
            overlay.leave("n3")
            terminal.wait_for("down")
            terminal.press(b"\x1b[B\x1b[6~q")
        finally:
            assert terminal.close() == 0


def test_keys_scroll_and_show_one_content_after_the_other(crash: Recorder) -> None:
    with shown(crash, small()) as url:
        top = Top(Source(url))
        top.look()
    everything = top.lines()
    assert top.on_key(curses.KEY_RIGHT, 10)
    assert any(line.startswith(SCRIPT) for line in top.lines())
    assert not any(line.startswith("news") for line in top.lines())
    assert top.on_key(curses.KEY_RIGHT, 10)
    assert any(line.startswith("news") for line in top.lines())
    assert top.on_key(curses.KEY_RIGHT, 10)
    assert top.lines() == everything
    for key in (curses.KEY_UP, curses.KEY_NPAGE, curses.KEY_DOWN, curses.KEY_PPAGE, ord("x")):
        assert top.on_key(key, 10)
    assert not top.on_key(ord("q"), 10)


def test_sigterm_ends_top_with_status_0(crash: Recorder) -> None:
    with shown(crash, small()) as url:
        terminal = Terminal("--http-url", url)
        try:
            terminal.wait_for("4 nodes up")
            terminal.process.send_signal(signal.SIGTERM)
        finally:
            assert terminal.close() == 0


def test_who_is_not_there_any_more_may_come_back(crash: Recorder) -> None:
    with shown(crash, small()) as url:
        terminal = Terminal("--http-url", url)
        terminal.wait_for("4 nodes up")
    try:
        terminal.wait_for("is no overlay's page")
        terminal.press(b"q")
    finally:
        assert terminal.close() == 0


def test_what_has_happened_since_a_restart_is_told_behind_what_was_before(crash: Recorder) -> None:
    with shown(crash, small(), events=("1", "2", "3")) as url:
        source = Source(url)
        source.look()
    with shown(crash, small(), port=int(url.rpartition(":")[2]), events=("4", "5")):
        source.look()
        assert [each["text"] for each in source.look().events] == ["1", "2", "3", "4", "5"]
