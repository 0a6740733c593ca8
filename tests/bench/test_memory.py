"""What a node holds for those whom it feeds: who is fed nothing costs nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.relays import memory
from bench.relays.children import Loop, ReadingChild, Times
from bench.relays.contenders import Load
from bench.relays.receivers import Counts, Progress
from bench.relays.setting import Needs, Setting
from bench.relays.sources import Sources
from mcast.hostport import HostPort


@pytest.fixture
def loop() -> Iterator[Loop]:
    with contextlib.closing(Loop()) as made:
        yield made


def guest(loop: Loop, *, is_fed: bool) -> ReadingChild:
    times = Times(asked=1.0, media=1.1 if is_fed else None)
    return ReadingChild(loop, HostPort("127.0.0.1", 1), "news", "127.0.1.1", times=times)


def test_guests_who_got_nothing_are_missed_but_for_those_who_left_at_once(loop: Loop) -> None:
    fed, hungry = guest(loop, is_fed=True), guest(loop, is_fed=False)
    assert memory.fed_share([fed, fed, hungry, hungry], [3.0, 6.0, 5.0, 0.2]) == pytest.approx(2 / 3)
    assert memory.fed_share([hungry, fed], [0.2, 0.2]) == 0.0, "nobody who could tell"


def test_a_node_that_feeds_nobody_is_not_weighed(tmp_path: Path) -> None:
    class Receivers:
        def __init__(self, rtp: int) -> None:
            self.left = [Counts(0), Counts(1000 * rtp, (Progress(rtp, rtp // 2, rtp / 1000),))]

        def take(self) -> Counts:
            return self.left.pop(0)

    owed = Load(1, 2).owed(memory.LAST_SECONDS)
    setting = Setting(tmp_path, Sources(tmp_path), Needs(), seconds=0.1)
    try:
        memory.feed(setting, Receivers(2 * round(owed.datagrams)), 2, memory.LAST_SECONDS)
        with pytest.raises(RuntimeError, match=r"100\.0% has not come to 2 children"):
            memory.feed(setting, Receivers(0), 2, memory.LAST_SECONDS)
    finally:
        setting.close()
