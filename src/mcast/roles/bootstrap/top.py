"""`mcast-bootstrap top`: the overlay's page for a terminal: CORE's virtual hosts have no browser.

It asks the same API as the page. Without a terminal, or with `--once`, it prints what there is and ends. The
key is that of a file, or stands in the URL, as players take it (`http://any:KEY@HOST/`); it is never shown.
"""

import argparse
import contextlib
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from mcast.config.key_file import read_keys
from mcast.errors import ConfigError, UnreachableError
from mcast.monitoring.terminal import Screen, Told
from mcast.net.deadline import Deadline
from mcast.net.waiting import Waiting
from mcast.roles.bootstrap.main import family
from mcast.roles.cli import Command, Process, print_out, run
from mcast.roles.logs import one_line
from mcast.web.access import read_key

try:
    import curses
except ImportError:  # some small Pythons lack it; what is printed needs none
    curses = None  # type: ignore[assignment]

PATIENCE = 3.0
"""Seconds that an answer may take."""
LOOK = 1.0
"""Seconds between two looks."""
KEY_MS = 200
"""Milliseconds that a key is waited for: so late it is seen, at most, that the program is to end."""
MAX_ANSWER = 64_000_000
"""Bytes of an answer: 10,000 nodes with 64 contents each."""
MAX_EVENTS = 200
"""Events that are remembered."""

_USER = re.compile(r"^(\w*://)?.*@", re.DOTALL)
"""The user and the password in front of a URL's host, as far as they may reach; a group before them."""

HELP = "q ends · ↑ ↓ PgUp PgDn scroll · ← → one content alone"


def main(argv: Sequence[str]) -> int:
    """Run the program; return its exit status."""
    return run(PROGRAM, argv)


class Source:
    """What is asked over HTTP."""

    def __init__(self, url: str, key: str = "") -> None:
        self._base, self._key = url.rstrip("/"), key
        # The page is of this network, mostly of this machine: no proxy of the environment leads there.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._last = 0
        self._epoch: object = None  # of the events' numbers
        self._events: list[Told] = []

    def look(self) -> Screen:
        """Return what there is now. Raises UnreachableError."""
        overlay = self._ask("/api/overlay")
        told = self._ask(f"/api/events?since={self._last}")
        if self._last and told.get("epoch") != self._epoch:  # another bootstrapper: its numbers begin anew
            told = self._ask("/api/events?since=0")
        self._epoch = told.get("epoch")
        news, last = told.get("events"), told.get("last")
        if isinstance(news, list) and isinstance(last, int):
            self._last = last
            self._events = [*self._events, *(each for each in news if isinstance(each, Mapping))][
                -MAX_EVENTS:
            ]
        return Screen(overlay, tuple(self._events))

    def _ask(self, path: str) -> Told:
        request = urllib.request.Request(f"{self._base}{path}")
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                told = json.loads(answer.read(MAX_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(1000).decode(errors="replace").strip()
            raise UnreachableError(f"{self._base} answers {error.code}: {text or error.reason}") from None
        except (OSError, HTTPException, ValueError, RecursionError) as error:  # no such host, no JSON, ...
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise UnreachableError(f"{self._base} is no overlay's page: {reason}") from None
        if not isinstance(told, dict):
            raise UnreachableError(f"{self._base} is no overlay's page: it tells no object")
        return told


class Top:
    """The view: which part of it is seen, and of which content."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._screen = Screen({})
        self._trouble = ""
        self._first = 0
        self._content: str | None = None

    def look(self) -> None:
        """Ask for what there is now; that nobody answers is shown, and what was there before stays."""
        try:
            self._screen, self._trouble = self._source.look(), ""
        except UnreachableError as error:
            self._trouble = str(error)

    def lines(self) -> list[str]:
        """Return all lines below the head."""
        lines = self._screen.lines(self._content)
        return [lines[0], *([f"! {self._trouble}"] if self._trouble else []), *lines[1:]]

    def on_key(self, key: int, page: int) -> bool:
        """Take in a key; return whether to go on."""
        steps = {
            curses.KEY_UP: -1, curses.KEY_DOWN: 1, curses.KEY_PPAGE: -page, curses.KEY_NPAGE: page,
            curses.KEY_LEFT: 0, curses.KEY_RIGHT: 0,
        }  # fmt: skip
        if key in (curses.KEY_LEFT, curses.KEY_RIGHT):
            self._turn(1 if key == curses.KEY_RIGHT else -1)
        self._first = max(0, min(self._first + steps.get(key, 0), len(self.lines()) - 1))
        return key not in (ord("q"), ord("Q"), 27)

    def draw(self, window: "curses.window") -> None:
        """Draw what is seen of it."""
        height, width = window.getmaxyx()
        window.erase()
        shown = [f"mcast overlay · {self._content or 'all contents'} · {HELP}", *self.lines()[self._first :]]
        for row, line in enumerate(shown[:height]):
            style = curses.A_REVERSE if row == 0 else curses.A_BOLD if line.isupper() else curses.A_NORMAL
            with contextlib.suppress(curses.error):  # the last cell of a window cannot be written without one
                window.addnstr(row, 0, one_line(line), width, style)
        window.refresh()

    def _turn(self, step: int) -> None:
        """Show the next content alone, or all of them again."""
        told = self._screen.overlay.get("contents")
        names = [str(each["name"]) for each in told if "name" in each] if isinstance(told, list) else []
        choices: list[str | None] = [None, *names]
        at = choices.index(self._content) if self._content in choices else 0
        self._content, self._first = choices[(at + step) % len(choices)], 0


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--http-url", required=True, type=_url, metavar="URL",
        help="where mcast-bootstrap --http shows the overlay; with its key: http://any:KEY@HOST")  # fmt: skip
    add("--http-key-file", type=Path, metavar="FILE", help="the key that is wanted there")
    add("--once", action="store_true", help="print what there is, and end")


def _body(options: argparse.Namespace, process: Process) -> int:
    url, key = options.http_url
    if options.http_key_file is not None:
        if key:
            raise ConfigError("--http-key-file and a key in --http-url exclude each other: give one")
        key = read_keys("--http-key-file", options.http_key_file, read_key)[0].decode()
    source = Source(url, key)
    with Waiting(f"an answer of {url}", process.on_crash):
        screen = source.look()  # who has mistaken the URL is told so, on a terminal that is as it was
    if options.once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        print_out("".join(f"{one_line(line)}\n" for line in screen.lines()))
        return 0
    if curses is None:
        raise ConfigError("this Python has no curses module: try --once, or another Python")
    try:
        curses.wrapper(lambda window: _show(window, Top(source), process))
    except curses.error as error:
        raise ConfigError(f"this terminal cannot be used ({error}): try --once, or another TERM") from None
    return 0


def _show(window: "curses.window", top: Top, process: Process) -> None:
    with contextlib.suppress(curses.error):
        curses.curs_set(0)
        curses.use_default_colors()
    window.timeout(KEY_MS)
    due = Deadline(0.0)
    while not process.stop.is_set():
        if due.expired:
            top.look()
            due = Deadline(LOOK)
        top.draw(window)
        key = window.getch()
        if key != -1 and not top.on_key(key, max(1, window.getmaxyx()[0] - 2)):
            return


def _url(text: str) -> tuple[str, str]:
    """Return a URL without its user and password, and the password, which is a key if it is not empty."""
    # What may be a key is not shown, whatever else is wrong with the URL.
    bare = _USER.sub(r"\1", text)
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        key = unquote_to_bytes(parts.password or "")
    except ValueError:
        is_one, key = False, b""
    if not is_one or "@" in parts.path + parts.query + parts.fragment:
        raise argparse.ArgumentTypeError(f"'{bare}' is no URL such as http://127.0.0.1:8080")
    try:
        return bare, read_key(f"the password in {bare}", key).decode() if key else ""
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


PROGRAM = Command(
    "mcast-bootstrap top",
    "Show an overlay in a terminal: trees, servers, nodes, events.",
    "mcast-bootstrap top --http-url http://127.0.0.1:8080",
    _add_options,
    _body,
    family,
)
