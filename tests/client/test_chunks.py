"""The queue between the playback and the reader."""

import pytest

from client.neighbours import meanwhile
from helpers import PATIENCE
from mcast.client.chunks import ChunkQueue
from mcast.errors import StreamEndedError


def test_chunks_come_out_in_order_and_then_the_end() -> None:
    chunks = ChunkQueue(1000)
    for data in (b"one", b"two"):
        assert chunks.write(data)
    chunks.finish()
    assert [chunks.read(), chunks.read(), chunks.read(), chunks.read()] == [b"one", b"two", b"", b""]


def test_a_reader_that_is_too_slow_loses_the_oldest_and_they_are_counted() -> None:
    chunks = ChunkQueue(10)
    for data in (b"aaaa", b"bbbb", b"cccc", b"dddd"):
        chunks.write(data)
    chunks.finish()
    assert [chunks.read(), chunks.read(), chunks.read()] == [b"cccc", b"dddd", b""]
    assert chunks.dropped == 8


def test_the_newest_is_kept_even_if_it_is_larger_than_the_bound() -> None:
    chunks = ChunkQueue(2)
    chunks.write(b"old")
    chunks.write(b"large")
    assert chunks.read() == b"large"
    assert chunks.dropped == 3


def test_room_that_was_read_free_is_room_again() -> None:
    chunks = ChunkQueue(4)
    for _ in range(5):
        chunks.write(b"full")
        assert chunks.read() == b"full"
    assert chunks.dropped == 0


def test_a_writer_never_waits_for_a_reader_that_does_not_read() -> None:
    chunks = ChunkQueue(100)
    for _ in range(1000):
        chunks.write(bytes(10))
    assert chunks.dropped == 10_000 - 100


def test_an_error_comes_after_what_had_come_before_and_comes_again() -> None:
    chunks = ChunkQueue(1000)
    chunks.write(b"data")
    chunks.finish(StreamEndedError("gone"))
    assert chunks.read() == b"data"
    for _ in range(2):
        with pytest.raises(StreamEndedError, match="gone"):
            chunks.read()


def test_only_the_first_end_counts() -> None:
    chunks = ChunkQueue(1000)
    chunks.finish()
    chunks.finish(StreamEndedError("later"))
    assert chunks.read() == b""
    assert not chunks.write(b"too late")


def test_a_reader_waits_as_long_as_it_likes() -> None:
    chunks = ChunkQueue(1000)
    with pytest.raises(TimeoutError):
        chunks.read(0.01)
    with meanwhile(chunks.read) as read:
        chunks.write(b"data")
        assert read.result(PATIENCE) == b"data"
    with meanwhile(chunks.read) as read:
        chunks.finish()
        assert read.result(PATIENCE) == b""


def test_who_waits_for_the_begin_is_told() -> None:
    chunks = ChunkQueue(1000)
    assert not chunks.wait_open(0.01)
    with meanwhile(chunks.wait_open) as opened:
        chunks.open()
        assert opened.result(PATIENCE)
    chunks.finish(StreamEndedError("later"))
    assert chunks.wait_open()  # it had begun: it is the reader who is told


def test_who_waits_for_a_begin_that_never_comes_is_told_why() -> None:
    chunks = ChunkQueue(1000)
    chunks.finish(StreamEndedError("never"))
    with pytest.raises(StreamEndedError, match="never"):
        chunks.wait_open()
    closed = ChunkQueue(1000)
    closed.finish()
    assert not closed.wait_open()


def test_the_reader_learns_with_which_chunk_another_stream_begins() -> None:
    chunks = ChunkQueue(10)
    chunks.write(b"old")
    chunks.begin_anew()
    chunks.write(b"a")
    chunks.write(b"b")
    chunks.begin_anew()
    chunks.write(b"new")
    assert [(chunks.read(), chunks.breaks) for _ in range(4)] == [
        (b"old", 0),
        (b"a", 1),
        (b"b", 1),
        (b"new", 2),
    ]


def test_a_queue_is_printed_with_its_state() -> None:
    chunks = ChunkQueue(1000)
    chunks.write(b"data")
    assert repr(chunks) == "<ChunkQueue waiting, 4 bytes queued, 0 dropped>"
    chunks.open()
    assert "open" in repr(chunks)
    chunks.finish()
    assert "finished" in repr(chunks)


def test_who_waits_for_the_first_chunk_does_not_take_it() -> None:
    chunks = ChunkQueue(1000)
    assert not chunks.wait_chunk(0.01)
    chunks.write(b"one")
    assert chunks.wait_chunk()
    chunks.finish(StreamEndedError("lost"))
    assert chunks.wait_chunk()
    assert chunks.read() == b"one"
    with pytest.raises(StreamEndedError, match="lost"):
        chunks.wait_chunk()


def test_a_stream_that_is_over_without_a_chunk_is_waited_for_no_longer() -> None:
    chunks = ChunkQueue(1000)
    with meanwhile(chunks.wait_chunk) as waited:
        chunks.finish()
    assert waited.result() is False
    assert chunks.is_finished
