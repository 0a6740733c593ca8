"""One content at a client, between a real parent and a queue."""

import threading
import time
from collections.abc import Iterator

import pytest

from client.neighbours import CHILD, HERE, Node, meanwhile, payload
from helpers import PATIENCE, Recorder, wait_until
from mcast.client.chunks import ChunkQueue
from mcast.client.intake import Intake
from mcast.client.options import Options
from mcast.hostport import HostPort
from mcast.media.receiver import Receiver
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.wire.node import Start
from mcast.wire.position import Position
from media.plane.streams import SSRC
from roles.partners import TOKEN

POSITION = Position(SSRC, 0)
STILL_MS = 1000.0
"""Longer than ten datagrams that are sent at once may take to come."""


class Fed:
    """An intake that hears a node, its queue, and what was told of its parent."""

    def __init__(self, node: Node, latency_ms: int) -> None:
        self.chunks, self.told, self.crash = ChunkQueue(10**9), Recorder(), Recorder()
        self.hurry = threading.Event()
        options = Options(
            neighbours=(HostPort("127.0.0.1", 1),), content="news", latency_ms=latency_ms, patience=1.0,
            give_up=1.0, start=Start.KEYFRAME, media_ports=MediaPorts(), queue_bytes=1, trace=None,
        )  # fmt: skip
        self.intake = Intake(options, POSITION, self.chunks, self.told, Recorder(), self.crash, self.hurry)
        sock, _ = open_media_socket(HERE, MediaPorts())
        connect_media_socket(sock, HERE, node.fanout.admit(CHILD, "viewer", HERE, HERE, TOKEN))
        self.intake.add_parent(1, sock, TOKEN, POSITION)

    def came(self, number: int) -> None:
        """Wait until everything below a number has come, but for holes."""
        wait_until(lambda: self.intake._receiver.position.next == number, f"{number} to come")

    @property
    def gap_ms(self) -> float:
        return self.intake.statistics(("rp",), bytes(16), 0.0, 1).longest_gap_ms

    def close(self) -> None:
        self.hurry.set()
        self.intake.stop()
        self.intake.put_out(None)
        assert self.crash.calls == []


@pytest.fixture(params=[60_000])
def fed(node: Node, request: pytest.FixtureRequest) -> Iterator[Fed]:
    fed = Fed(node, request.param)
    yield fed
    fed.close()


def test_the_parents_state_is_told_under_its_id(node: Node, fed: Fed) -> None:
    node.push(0, 1)
    told = fed.told.wait_for()[-1]
    assert isinstance(told, tuple)
    assert told[0] == 1


def test_it_is_drained_when_all_is_here_however_long_it_is_held(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    assert fed.intake.is_drained(9)
    assert not fed.intake.is_drained(10)


def test_a_hole_is_waited_for(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    node.push(12, 8)
    fed.came(20)
    assert not fed.intake.is_drained(19)
    assert fed.intake.wanted == Position(SSRC, 10)


@pytest.mark.parametrize("fed", [20], indirect=True)
def test_a_hole_that_has_missed_its_time_is_not(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    node.push(12, 8)
    fed.came(20)
    wait_until(lambda: fed.intake.is_drained(19), "the hole to be given up")


@pytest.mark.parametrize("fed", [300], indirect=True)
def test_a_content_that_is_over_goes_out_at_its_time_and_then_time_stands_still(
    node: Node, fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.push(0, 10)
    fed.came(10)
    fed.intake.put_out(9)
    figures = fed.intake.statistics(("rp",), bytes(16), 0.0, 1)
    assert figures.latency_ms is not None
    assert figures.latency_ms >= 299
    assert figures.bytes == len(payload(0, 10))
    monkeypatch.setattr(Receiver, "delay", lambda _: 9.9)
    assert fed.intake.statistics(("rp",), bytes(16), 0.0, 1) == figures


def test_a_stream_that_stands_still_until_it_is_left_has_a_gap_at_its_end(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    began = time.time()
    wait_until(lambda: fed.gap_ms > STILL_MS, "the time without media to be counted")
    fed.intake.stop()
    left = fed.gap_ms
    fed.intake.put_out(None)
    assert fed.gap_ms == left > STILL_MS, "what comes behind the end is no gap"
    ((at, _), *_) = fed.intake.statistics(("rp",), bytes(16), 0.0, 1).longest_gaps
    assert at == pytest.approx(began, abs=PATIENCE)


def test_that_nothing_comes_behind_the_end_of_a_content_is_no_gap(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    wait_until(lambda: fed.gap_ms > STILL_MS, "the time without media to be counted")
    fed.hurry.set()
    fed.intake.put_out(9)
    assert fed.gap_ms < STILL_MS


def test_who_is_in_a_hurry_gets_all_at_once(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    with meanwhile(lambda: fed.intake.put_out(9)) as put_out:
        assert not put_out.done()
        fed.hurry.set()
        put_out.result(PATIENCE)
    fed.chunks.finish()
    assert fed.chunks.read() == payload(0, 10)


def test_a_stream_without_a_known_end_goes_out_at_once(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    fed.intake.put_out(None)
    assert fed.chunks.read(0) == payload(0, 10)


def test_a_parent_that_is_removed_hears_bye(node: Node, fed: Fed) -> None:
    node.push(0, 10)
    fed.came(10)
    fed.intake.remove_parent(1)
    node.wait_forgotten()
