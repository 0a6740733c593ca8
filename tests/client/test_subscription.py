"""The public API against a node that the test plays: what comes is judged by its bytes."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import mcast
from client.conftest import Subscribe
from client.neighbours import Node, meanwhile, payload
from helpers import PATIENCE, refuse_threads, wait_until
from mcast.client import Subscription
from mcast.client.intake import Intake
from mcast.client.leaf import Leaf
from mcast.errors import ConfigError, NotFoundError, StreamEndedError, UnreachableError
from mcast.media.receiver import Receiver
from mcast.overlay.search import MAX_TRIES
from mcast.wire.node import MissReason, StopReason
from roles.partners import N1, N2, RP


def read_bytes(subscription: Subscription, count: int) -> bytes:
    """Read until so many bytes have come."""
    data = b""
    while len(data) < count:
        data += subscription.read(PATIENCE)
    return data


def read_all(subscription: Subscription) -> bytes:
    """Read to the end."""
    return b"".join(subscription)


def test_the_package_offers_it_without_loading_it_for_those_who_do_not_ask() -> None:
    assert (mcast.Subscription, mcast.Statistics) == (Subscription, type(Subscription(
        neighbours=["127.0.0.1:1"], content="x").statistics()))  # fmt: skip
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mcast.nonsense
    script = "import sys, mcast; sys.exit('mcast.client' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


@pytest.mark.parametrize(
    ("thread", "serve", "told"),
    [
        ("playout", Node.take_in, "can't start new thread"),
        ("forward-news", Node.take_in, "can't start new thread"),
        ("follow-news", Node.found, "nobody answers"),  # it is tried again as long as there is patience
    ],
)
def test_a_program_without_threads_is_told_so_and_keeps_none(
    node: Node, thread: str, serve: Callable[[Node], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, thread)
    with (
        meanwhile(lambda: serve(node)),
        pytest.raises((StreamEndedError, UnreachableError), match=told),
        Subscription(neighbours=[node.address], content="news", patience=2, give_up=0.1) as subscription,
    ):
        read_all(subscription)


def test_a_program_that_is_at_its_limits_from_the_beginning_is_told_so_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def make() -> Subscription:
        return Subscription(neighbours=["127.0.0.1:1"], content="news", trace=tmp_path / "trace")

    def no_descriptors(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr("mcast.client.leaf.Watcher", no_descriptors)
        with pytest.raises(ConfigError, match="'news' cannot be taken: Too many open files"), make():
            pass
    with monkeypatch.context() as patch:
        refuse_threads(patch, "decide")
        with pytest.raises(ConfigError, match="can't start new thread"), make():
            pass
    left = {thread.name for thread in threading.enumerate()}
    assert left.isdisjoint({"trace", "watcher", "reaper", "decide"})


def test_ten_lines_record_a_content_to_its_end(node: Node, tmp_path: Path) -> None:
    def serve() -> None:
        node.take_in()
        node.push(0, 30)
        node.say_stop(StopReason.END, last=29)

    file = tmp_path / "news.ts"
    with (
        meanwhile(serve),
        mcast.Subscription(neighbours=[node.address], content="news", latency_ms=50) as subscription,
        file.open("wb") as recording,
    ):
        assert subscription.path == ("rp", "n1")
        for chunk in subscription:
            assert len(chunk) % 188 == 0
            recording.write(chunk)
    assert file.read_bytes() == payload(0, 30)


def test_chunks_come_in_order_and_each_at_its_time(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe(latency_ms=300)
    subscription.start()
    node.take_in()
    for first in range(0, 20, 5):
        node.push(first, 5)
    with pytest.raises(TimeoutError):
        subscription.read(0.01)  # nothing before the latency is over
    assert read_bytes(subscription, len(payload(0, 20))) == payload(0, 20)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (MissReason.ABSENT, NotFoundError),
        *((each, UnreachableError) for each in (MissReason.FULL, MissReason.CUT)),
    ],
)
def test_entering_raises_what_the_overlay_says(
    node: Node, subscribe: Subscribe, reason: MissReason, error: type[Exception]
) -> None:
    def refuse() -> None:
        for _ in range(1 if reason is MissReason.ABSENT else MAX_TRIES + 1):
            node.miss(reason)

    with meanwhile(refuse), pytest.raises(error, match="news"), subscribe():
        pass


def test_reading_raises_why_the_stream_has_ended_after_what_had_come(
    node: Node, joined: Subscription
) -> None:
    node.push(0, 20)
    wait_until(lambda: joined.statistics().ts_packets == 140, "all to go out")
    node.say_stop(StopReason.LEAVING, text="bye")
    assert read_bytes(joined, len(payload(0, 20))) == payload(0, 20)
    with pytest.raises(StreamEndedError, match="leaving bye"):
        joined.read(PATIENCE)


def test_closing_from_another_thread_ends_the_iteration_and_says_stop(
    node: Node, joined: Subscription
) -> None:
    with meanwhile(lambda: read_all(joined)) as data:
        node.push(0, 10)
        wait_until(lambda: joined.statistics().ts_packets == 70, "all to go out")
        joined.close()
        joined.close()
        assert data.result(PATIENCE) == payload(0, 10)
    assert node.heard_stop() is StopReason.UNSUBSCRIBE
    node.wait_forgotten()


def test_what_had_come_before_closing_can_still_be_read_without_waiting_for_its_time(
    node: Node, subscribe: Subscribe
) -> None:
    subscription = subscribe(latency_ms=60_000)
    subscription.start()
    node.take_in()
    node.push(0, 10)
    wait_until(lambda: subscription.statistics().buffered_ms == 9, "all to come")
    subscription.close()
    assert read_all(subscription) == payload(0, 10)


def test_closing_ends_the_wait_for_the_time_of_the_last_chunks(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe(latency_ms=60_000)
    subscription.start()
    node.take_in()
    node.push(0, 10)
    node.say_stop(StopReason.END, last=9)
    wait_until(lambda: subscription.statistics().buffered_ms == 9, "all to come")
    subscription.close()
    assert read_all(subscription) == payload(0, 10)


@pytest.mark.parametrize("answered", [0, 1])
def test_closing_while_it_joins_returns_from_entering_with_nothing_to_read(
    node: Node, subscribe: Subscribe, answered: int
) -> None:
    subscription = subscribe()
    with meanwhile(subscription.__enter__) as entered:
        if answered:
            node.asked_to_stream()
        else:
            wait_until(lambda: subscription._leaf, "the search to begin")
        subscription.close()
        assert entered.result(PATIENCE) is subscription
    assert (subscription.path, read_all(subscription)) == ((), b"")
    if answered:
        assert node.heard_stop() is StopReason.UNSUBSCRIBE


def test_closing_before_it_is_entered_leaves_nothing_to_enter(subscribe: Subscribe) -> None:
    subscription = subscribe()
    subscription.close()
    with subscription:
        assert subscription.path == ()


def test_it_can_be_entered_once_and_read_only_then(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe()
    with pytest.raises(RuntimeError, match="not been entered"):
        subscription.read()
    subscription.start()
    with pytest.raises(RuntimeError, match="once"):
        subscription.start()
    node.take_in()
    assert subscription.wait_joined()


def test_waiting_to_join_may_be_bounded(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe()
    subscription.start()
    assert not subscription.wait_joined(0.01)
    node.take_in()
    assert subscription.wait_joined()


def test_a_reader_that_does_not_read_costs_only_itself(node: Node, subscribe: Subscribe) -> None:
    subscription = subscribe(queue_bytes=10 * 7 * 188)
    subscription.start()
    node.take_in()
    for first in range(0, 100, 5):
        node.push(first, 5)
    wait_until(lambda: subscription.statistics().ts_packets == 700, "all to go out")
    subscription.close()
    rest = read_all(subscription)
    assert rest == payload(0, 100)[-len(rest) :]
    figures = subscription.statistics()
    assert figures.dropped_bytes == len(payload(0, 100)) - len(rest) > 0
    assert figures.lost_datagrams == 0


def test_the_path_is_told_when_it_has_joined_and_when_it_changes_by_the_thread_that_reads(
    node: Node, subscribe: Subscribe
) -> None:
    told: list[tuple[tuple[str, ...], threading.Thread]] = []
    subscription = subscribe(on_path_change=lambda path: told.append((path, threading.current_thread())))
    subscription.start()
    node.take_in()
    assert subscription.wait_joined()
    for path, version in (((RP, N2, N1), 3), ((RP, N1), 2)):  # the second one was overtaken
        node.new_path(path, version)
    wait_until(lambda: subscription.path == ("rp", "n2", "n1"), "the new path")
    node.push(0, 1)
    subscription.read(PATIENCE)
    reader = threading.current_thread()
    assert told == [(("rp", "n1"), reader), (("rp", "n2", "n1"), reader)]


def test_the_statistics_say_what_came(
    node: Node, joined: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.push(0, 10)
    node.push(12, 3)
    read_bytes(joined, len(payload(0, 13)))
    joined.close()
    figures = joined.statistics()
    assert (figures.path, figures.ssrc, figures.first_number) == (("rp", "n1"), 0x1234_5678, 0)
    assert (figures.ts_packets, figures.bytes) == (13 * 7, 13 * 7 * 188)
    assert (figures.lost_datagrams, figures.duplicate_datagrams, figures.reordered_datagrams) == (2, 0, 0)
    assert figures.join_ms is not None
    assert figures.first_keyframe_ms is not None
    assert 0 <= figures.join_ms <= figures.first_keyframe_ms
    assert figures.duration_s > 0
    assert node.stream is not None
    assert figures.receive_buffer_bytes == node.stream.buffer_bytes > 0
    assert figures.request_id is not None
    assert figures.request_id.replace("-", "") == node.stream.request.hex()
    monkeypatch.setattr(Receiver, "delay", lambda _: 9.9)
    assert joined.statistics() == figures  # time stands still after the end


def test_a_crash_of_any_thread_reaches_the_reader(
    node: Node, joined: Subscription, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: object) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(Intake, "is_drained", bug)
    node.push(0, 10)
    node.say_stop(StopReason.END, last=9)
    with pytest.raises(ValueError, match="a bug"):
        read_all(joined)
    joined.close()
    assert "unexpected ValueError" in caplog.text


def test_a_crash_before_it_has_joined_is_raised_by_entering_and_leaves_nothing(
    node: Node, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Leaf, "_receive", bug)
    with meanwhile(node.take_in), pytest.raises(ValueError, match="a bug"), subscribe():
        pass
    assert node.heard_stop() is StopReason.UNSUBSCRIBE


def test_a_subscription_is_printed_with_its_path(joined: Subscription) -> None:
    assert repr(joined).startswith("<Subscription news path=rp > n1 <ChunkQueue open")
