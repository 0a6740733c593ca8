"""The last of what has come, at each reader's own pace."""

import threading

import pytest

from mcast.web.events import EventStream, event
from mcast.web.ring import FellBehind, Ring


def test_each_reader_gets_everything_from_where_it_is() -> None:
    ring: Ring[bytes] = Ring(100, len)
    for item in (b"a", b"b", b"c"):
        ring.append(item)
    assert ring.read(0, 0) == [b"a", b"b", b"c"]
    assert ring.read(2, 0) == [b"c"]
    assert ring.read(3, 0) == []
    assert (ring.tail, ring.head) == (0, 3)


def test_the_oldest_gives_way_and_who_wanted_it_is_told() -> None:
    ring: Ring[bytes] = Ring(4, len)
    for item in (b"aa", b"bb", b"cc"):
        ring.append(item)
    with pytest.raises(FellBehind):
        ring.read(0, 0)
    assert ring.read(ring.tail, 0) == [b"bb", b"cc"]


def test_one_item_is_kept_however_large() -> None:
    ring: Ring[bytes] = Ring(4, len)
    ring.append(b"much too large")
    assert ring.read(0, 0) == [b"much too large"]


def test_a_reader_waits_for_what_is_next() -> None:
    ring: Ring[int] = Ring(4)
    writer = threading.Timer(0.02, ring.append, [7])
    writer.start()
    assert ring.read(0, 10) == [7]
    writer.join()


def test_the_end_wakes_who_waits() -> None:
    ring: Ring[int] = Ring(4)
    writer = threading.Timer(0.02, ring.finish)
    writer.start()
    assert ring.read(0, 10) == []
    assert ring.is_over
    writer.join()


def test_an_event_is_written_as_the_standard_says() -> None:
    assert event("one\ntwo", kind="tree", number=7) == b"event: tree\nid: 7\ndata: one\ndata: two\n\n"
    assert event("") == b"data: \n\n"


def test_a_stream_of_events_tells_when_to_come_back_then_what_is_so_now_and_goes_on_with_the_news() -> None:
    ring: Ring[bytes] = Ring(10)
    ring.append(event("old"))
    stream = iter(EventStream(ring, ring.head, first=event("now")))
    assert next(stream) == b"retry: 500\n\ndata: now\n\n"
    ring.append(event("new"))
    assert next(stream) == event("new")
    ring.finish()
    assert list(stream) == []


def test_who_falls_behind_is_told_and_goes_on() -> None:
    ring: Ring[bytes] = Ring(2)
    for name in "abcd":
        ring.append(event(name))
    stream = iter(EventStream(ring, 0))
    assert [next(stream) for _ in range(3)] == [
        b"retry: 500\n\n",
        event("", kind="missed"),
        event("c") + event("d"),
    ]
