"""From a subscription to an output: a node that the test plays, and an output that it reads."""

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from client.neighbours import Node, payload
from helpers import PATIENCE, wait_until
from mcast.client import Statistics, Subscription
from mcast.client.chunks import ChunkQueue
from mcast.errors import StreamEndedError
from mcast.media.output import Ended
from mcast.roles import logs
from mcast.roles.client.session import CONTENT_OVER, Session
from mcast.wire.node import StopReason


class Memory:
    """An output that keeps what it gets."""

    dropped = written = 0
    name = "memory"

    def __init__(self) -> None:
        self.data = b""
        self.breaks: list[int] = []  # bytes before each
        self.end: Ended | None = None

    def write(self, data: bytes) -> bool:
        self.data += data
        return True

    def begin_anew(self) -> None:
        self.breaks.append(len(self.data))

    def ended(self) -> Ended | None:
        return self.end

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        del drain, is_over
        return self.end


class Scene:
    """A session that runs in a thread; what becomes of it is kept."""

    def __init__(self, node: Node, duration: float | None, latency: int) -> None:
        self.node, self.output, self.stop = node, Memory(), threading.Event()
        self.subscription = Subscription(neighbours=[node.address], content="news", latency_ms=latency)
        self.subscription.start()
        node.take_in()
        assert self.subscription.wait_joined()
        self._session = Session("news", self.subscription, self.output, self.stop, duration)
        self._outcome: list[str | BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._session.run())
        except Exception as error:
            self._outcome.append(error)

    def end(self) -> str:
        """Wait for the end in order; return its reason."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        outcome = self._outcome[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def got(self, datagrams: int) -> None:
        wait_until(lambda: len(self.output.data) >= len(payload(0, datagrams)), f"{datagrams} datagrams")

    def close(self) -> None:
        self.stop.set()
        with contextlib.suppress(Exception):
            self.end()
        self.subscription.close()


Play = Callable[..., Scene]


@pytest.fixture
def play() -> Iterator[Play]:
    node, scenes = Node(), list[Scene]()

    def play(duration: float | None = None, latency: int = 20) -> Scene:
        scenes.append(Scene(node, duration, latency))
        node.push(0, 10)
        return scenes[-1]

    yield play
    for scene in scenes:
        scene.close()
    node.close()


def events(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, object]]:
    """Return the fields of the events that were logged, by name."""
    return {
        record.event: record.fields  # type: ignore[attr-defined]
        for record in caplog.records
        if hasattr(record, "event")
    }


def test_an_output_is_told_where_another_stream_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks, output = ChunkQueue(1000), Memory()
    chunks.open()
    chunks.write(b"old")
    chunks.begin_anew()
    chunks.write(b"new")
    chunks.finish()
    subscription = Subscription(neighbours=["127.0.0.1:9"], content="news")
    monkeypatch.setattr(subscription, "_chunks", chunks)
    monkeypatch.setattr(subscription, "_leaf", object())
    monkeypatch.setattr(Subscription, "path", ())
    monkeypatch.setattr(Subscription, "awaited", "")
    monkeypatch.setattr(Subscription, "statistics", lambda _: Statistics())
    assert Session("news", subscription, output, threading.Event()).run() == CONTENT_OVER
    assert (output.data, output.breaks) == (b"oldnew", [3])


def test_the_user_ends_it_with_a_stop(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = play()
    scene.got(10)
    scene.stop.set()
    assert scene.end() == "stopped by the user"
    assert scene.node.heard_stop() is StopReason.UNSUBSCRIBE
    assert events(caplog)["left"] == {"content": "news", "reason": "stopped by the user"}


def test_what_had_come_when_the_user_ends_it_is_put_out(play: Play) -> None:
    scene = play(latency=60_000)
    wait_until(lambda: scene.subscription.statistics().buffered_ms == 9, "all to come")
    scene.stop.set()
    scene.end()
    assert scene.output.data == payload(0, 10)


def test_the_duration_counts_from_the_first_media(play: Play) -> None:
    scene = play(duration=0.3)
    assert scene.end() == "the duration is over"
    assert scene.subscription.statistics().duration_s >= 0.3
    assert scene.node.heard_stop() is StopReason.UNSUBSCRIBE


def test_the_content_ends_it_with_its_last_byte(play: Play) -> None:
    scene = play(latency=200)
    scene.node.say_stop(StopReason.END, last=19)
    scene.node.push(10, 10)
    assert scene.end() == "the content is over"
    assert scene.output.data == payload(0, 20)


def test_a_stream_that_ends_otherwise_is_an_error_and_an_event(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene = play()
    scene.got(10)
    scene.node.say_stop(StopReason.LEAVING, text="bye")
    with pytest.raises(StreamEndedError, match="leaving bye"):
        scene.end()
    assert "leaving bye" in str(events(caplog)["ended"]["reason"])


def test_an_output_that_was_closed_ends_it(play: Play) -> None:
    scene = play()
    scene.output.end = Ended("ffplay was closed")
    assert scene.end() == "ffplay was closed"
    assert scene.node.heard_stop() is StopReason.UNSUBSCRIBE


def test_an_output_that_fails_is_an_error(play: Play) -> None:
    scene = play()
    scene.output.end = Ended("disk full", StreamEndedError("disk full"))
    with pytest.raises(StreamEndedError, match="disk full"):
        scene.end()


def test_a_terminal_sees_how_it_goes(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with logs.written_to_stderr():
        scene = play()
        wait_until(lambda: "lost 0   rp > n1" in terminal.getvalue(), "the status line")
        scene.stop.set()
        scene.end()
    assert terminal.getvalue().endswith("\n")
