"""Clocks that jump: what mcast decides depends on none of them, as all its times are monotonic.

The time of day is looked at only where people, files or other programs are told it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcast

ROOT = Path(mcast.__file__).parent
WALL = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "clock_gettime"},
    "datetime": {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"},
    "date": {"today", "fromtimestamp"},
}
"""What looks at the time of day, or puts it into words, by the name in front of the dot."""
ALLOWED = {
    "client/intake.py": "when a stream has stood still, for its report",
    "gateway/channel.py": "the first number of a playlist: players remember it when the program begins anew",
    "media/fanout.py": "the server's clock, which is sent along for viewers' delays",
    "media/playback.py": "when a packet went out, for who compares several clients",
    "media/receiver.py": "the viewer's clock, which is compared with the server's for its report",
    "media/rtcp_session.py": "the wall clock in an SR (RFC 3550, 6.4.1); who receives it only sends it back",
    "media/source/cache_upkeep.py": "the age of files, which have the time of day alone",
    "monitoring/events.py": "when an event was, for people",
    "roles/client/segments.py": "the names and times of a recording's files",
    "roles/logs.py": "when a line was written",
}
"""Modules that must, and what for. Whatever else is added here must stay harmless when the clock jumps."""


_MAY_LOOK = re.compile(rf"from time import|\.({'|'.join(set().union(*WALL.values()))})\b")


def looks(source: str) -> Iterator[str]:
    """Yield each look at the time of day."""
    if not _MAY_LOOK.search(source):
        return  # nearly always, and much sooner
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=before) | ast.Attribute(attr=before), attr=name):
                if name in WALL.get(before, ()):
                    yield f"line {node.lineno}: {before}.{name}"
            case ast.ImportFrom(module="time", names=names):
                yield from (f"line {node.lineno}: {each.name}" for each in names if each.name in WALL["time"])


def test_the_time_of_day_is_looked_at_only_where_it_must_be() -> None:
    found = {
        module.relative_to(ROOT).as_posix(): list(looks(module.read_text())) for module in ROOT.rglob("*.py")
    }
    assert {name: seen for name, seen in found.items() if seen and name not in ALLOWED} == {}
    assert [name for name in ALLOWED if not found.get(name)] == [], "does without it: take it off the list"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import time\nnow = time.time()", 1),
        ("import time\nnow = time.monotonic()\ntime.sleep(1)", 0),
        ("from time import monotonic, time_ns", 1),
        ("import datetime\nnow = datetime.datetime.now()", 1),
        ("from dataclasses import field\nat: float = field(default_factory=time.time)", 1),
    ],
)
def test_this_test_sees_a_look_at_the_time_of_day(source: str, count: int) -> None:
    assert len(list(looks(source))) == count
