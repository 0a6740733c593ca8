"""`mcast-client --list`: the contents of the overlay as a table; and what a name might have meant."""

import argparse
import contextlib
import unicodedata
from collections.abc import Iterable, Sequence

from mcast.client.directory import Directory, kind_of, list_contents, suggestion
from mcast.errors import McastError, NotFoundError
from mcast.net.waiting import Waiting
from mcast.roles import cli
from mcast.roles.logs import one_line
from mcast.wire.content import ContentInfo

HEAD = ("NAME", "KIND", "DURATION", "SIZE", "RATE", "BIT RATE", "VIEWERS", "FORMAT")
HINT_SECONDS = 2.0
"""How long the names are asked for that a name might have meant: the user waits for an error."""


def print_list(options: argparse.Namespace, process: cli.Process) -> int:
    """Print what the overlay has; return the exit status. Raises McastError."""
    process.begun.set()
    with Waiting(f"{' or '.join(options.neighbours)} to tell which contents there are", process.on_crash):
        directory = list_contents(
            neighbours=_asked(options), patience=options.wait, key_file=options.key_file, stop=process.stop
        )
    cli.print_out(as_text(directory))
    return 0


def as_text(directory: Directory) -> str:
    """Return the table, and below it why something may be missing."""
    rows = [HEAD, *(row_of(info) for info in directory.contents)]
    lines = [*_aligned(rows)] if directory.contents else ["no contents"]
    return "\n".join([*lines, *([f"({one_line(directory.text)})"] if directory.text else []), ""])


def row_of(info: ContentInfo) -> tuple[str, ...]:
    """Return what is told of a content, with nothing in it that a terminal would obey; - for the unknown."""
    rate = f"{info.frame_rate_milli / 1000:g}/s" if info.frame_rate_milli else "-"
    size = f"{info.width}x{info.height}" if info.width else "-"
    bit_rate = f"{info.bit_rate / 1e6:.2f} Mbit/s" if info.bit_rate else "-"
    viewers = "-" if info.viewers is None else str(info.viewers)
    name, form = one_line(info.name), one_line(info.format)
    return (name, kind_of(info), duration_of(info), size, rate, bit_rate, viewers, form or "-")


def duration_of(info: ContentInfo) -> str:
    """Return how long a content is, as h:mm:ss."""
    if not info.duration_ms:
        return "-"
    minutes, seconds = divmod(round(info.duration_ms / 1000), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def with_suggestion(error: NotFoundError, options: argparse.Namespace, process: cli.Process) -> NotFoundError:
    """Return the error with what its content's name might have meant, if that can be told soon."""
    meant = ""
    waiting = Waiting(f"a node to tell what '{options.content}' might have meant", process.on_crash)
    with contextlib.suppress(McastError), waiting:
        directory = list_contents(
            neighbours=_asked(options), patience=HINT_SECONDS, key_file=options.key_file, stop=process.stop
        )
        meant = suggestion(options.content, (info.name for info in directory.contents))
    return NotFoundError(f"{error} {meant}") if meant else error


def _asked(options: argparse.Namespace) -> list[str]:
    return [*options.neighbours, *options.further]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(mark) in "WF" for mark in text)
    return len(text) + wide - sum(unicodedata.combining(mark) > 0 for mark in text)
