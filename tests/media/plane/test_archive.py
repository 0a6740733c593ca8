"""A parent that streams a file sends any number below its head, long gone from the history or never in it."""

import random
from functools import partial

import pytest

from helpers import wait_until
from mcast.media.fanout import Fanout
from mcast.media.history import History, HistoryBounds
from mcast.wire.position import Position
from mcast.wire.train import Train
from media.plane import parts
from media.plane.parts import PATIENT, Pusher, family
from media.plane.streams import SSRC, since, stream, train
from media.plane.test_child import make

FEW = HistoryBounds(datagrams=20)


def archive(first: int, most: int) -> Train:
    """Make the datagrams again, in trains of at most ten."""
    return train(first, min(most, 10))


def wire(begin: int, end: int) -> bytes:
    return b"".join(item.data for item in stream(begin, end - begin))


def held(start: int, end: int) -> History:
    history = History(start, FEW, archive)
    for item in stream(start, end - start):
        history.insert(item.slice(item.first, item.first + 20), 0.0)
        history.insert(item.slice(item.first + 20), 0.0)
    return history


def test_what_was_before_the_history_comes_out_of_the_archive_up_to_where_the_history_begins() -> None:
    history = held(1_000, 1_049)
    assert (history.oldest, history.tail, history.head) == (0, 1_020, 1_049)
    assert history.after(7, 5) == train(7, 5)
    assert history.after(1_018, 100) == train(1_018, 2)
    assert history.after(1_020, 3) == train(1_020, 3)
    for number in (0, 1_019, 1_020, 1_048):
        assert history.get(number) == train(number, 1).datagram(0)
    assert b"".join(item.data for item in since(history, 990, 40)) == wire(990, 1_030)


def test_nothing_that_is_not_yet_due_comes_out_of_the_archive() -> None:
    history = held(1_000, 1_049)
    assert (history.after(1_049, 5), history.get(1_049), history.get(-1)) == (None, None, None)
    empty = History(50, archive=archive)
    assert (empty.after(50, 5), empty.get(50)) == (None, None)
    assert empty.after(45, 50) == train(45, 5)


@pytest.mark.parametrize("resume", [0, 999, 1_030])
def test_who_resumes_below_the_head_begins_exactly_there_and_skips_nothing(resume: int) -> None:
    history, child = held(1_000, 1_049), make(resume=resume)
    child.place(history, 0.0)
    assert (child.cursor, child.floor, child.skipped, child.skip(history)) == (resume, resume, 0, 0)


def test_a_child_that_resumes_before_this_parent_began_gets_every_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "Fanout", partial(Fanout, archive=archive))
    with family(1_000, bounds=FEW, timing=PATIENT) as parent:
        early = parent.join(resume=Position(SSRC, 400))
        parent.wait_next(1_000, early)  # nothing has been pushed yet
        for number in range(1_000, 1_100, 10):
            parent.fanout.push(train(number, 10))
        late = parent.join(resume=Position(SSRC, 700))
        parent.wait_next(1_100)
        for viewer, begin in ((early, 400), (late, 700)):
            assert b"".join(item.data for item in viewer.trains) == wire(begin, 1_100)
            assert parent.child(viewer).skipped == 0


def test_what_a_lossy_path_loses_is_repaired_although_the_history_has_let_it_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "Fanout", partial(Fanout, archive=archive))
    rng = random.Random(3)
    with family(bounds=HistoryBounds(datagrams=1), offload=False, timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join(
            resume=Position(SSRC, 0), repair=True, path=lambda _: int(rng.random() >= 0.2)
        )  # fmt: skip
        Pusher(parent.fanout, [train(number, 10) for number in range(10, 1_000, 10)]).join()
        parent.wait_next(1_000)
        wait_until(lambda: viewer.lost == 0, "everything is repaired")
        assert sorted(viewer.numbers()) == list(range(1_000))
