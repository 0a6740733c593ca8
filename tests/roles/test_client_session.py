"""One subscription of a client, between a neighbour that the test plays and an output that it reads."""

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from helpers import PATIENCE, wait_until
from mcast.errors import StreamEndedError
from mcast.hostport import HostPort
from mcast.media.output import Ended
from mcast.media.receiver import connect_media_socket, open_media_socket
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.ports import MediaPorts
from mcast.roles.cli import Process
from mcast.roles.client import session as client_session
from mcast.roles.client.joiner import Joined
from mcast.roles.client.report import Report
from mcast.roles.client.session import Ending, Session
from mcast.wire.node import Stop, StopReason, Stream
from media.plane.parts import LOCAL, Family, family
from media.plane.streams import PACKETS, SSRC, train
from roles.partners import N1, N2, RP, TOKEN, Peer, disc, port_for, stop_for, stream_of


class Memory:
    """An output that keeps what it gets."""

    dropped = 0

    def __init__(self) -> None:
        self.data = b""
        self.end: Ended | None = None

    def write(self, data: bytes) -> bool:
        self.data += data
        return True

    def ended(self) -> Ended | None:
        return self.end

    def close(self, *, drain: bool = True) -> Ended | None:
        del drain
        return self.end


VIEWER_KEY = 1000


class Scene:
    """A session that runs in a thread; the test is the neighbour, above it is a real fanout."""

    def __init__(
        self, above: Family, peer: Peer, *, duration: float | None = None, latency: int = 20
    ) -> None:
        self.above, self.output, self.process = above, Memory(), Process("mcast-client")
        self.began = time.monotonic()
        connection = connect(peer.address, PATIENCE)
        self.neighbour: Connection = peer.accept()
        sock, granted = open_media_socket(LOCAL, MediaPorts())
        media_port = above.fanout.admit(VIEWER_KEY, "viewer", LOCAL, LOCAL, TOKEN, buffer_bytes=granted)
        connect_media_socket(sock, LOCAL, media_port)
        self.asked: Stream = stream_of(disc())
        port = port_for(self.asked, path=(RP, N1), ssrc=SSRC, port=media_port)
        joined = Joined(connection, sock, port, self.asked.request, granted, self.began)
        options = argparse.Namespace(
            content="news", latency=latency, duration=duration, neighbour=HostPort("127.0.0.1", 1)
        )
        self.session = Session(options, self.process, joined, self.output)
        self._ending: list[Ending] = []
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Scene":
        self._thread.start()
        return self

    def _run(self) -> None:
        self._ending.append(self.session.run())

    def end(self) -> Ending:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        assert self.process.on_crash.error is None
        return self._ending[0]

    def close(self) -> None:
        self.process.stop.set()
        if self._thread.ident is None:
            with contextlib.suppress(Exception):
                self.session.run()
        else:
            self._thread.join(PATIENCE)

    def report(self) -> Report:
        report = Report("news")
        self.session.fill(report)
        return report

    def got(self, datagrams: int) -> None:
        wait_until(lambda: len(self.output.data) >= datagrams * PACKETS * 188, f"{datagrams} datagrams")


Play = Callable[..., Scene]


@pytest.fixture
def play(peer: Peer) -> Iterator[Play]:
    with family() as above:
        scenes: list[Scene] = []

        def play(duration: float | None = None, latency: int = 20) -> Scene:
            above.fanout.push(train(0, 10, keys=[0]))
            scenes.append(Scene(above, peer, duration=duration, latency=latency))
            return scenes[-1].start()

        yield play
        for scene in scenes:
            scene.close()


def stop_came(scene: Scene) -> bool:
    """Tell whether the client has said STOP before it closed."""
    with contextlib.suppress(PeerGone):
        while True:
            message = scene.neighbour.receive(PATIENCE)
            if isinstance(message, Stop):
                return message.reason is StopReason.UNSUBSCRIBE
    return False


def test_the_user_ends_it_with_a_stop_and_status_0(play: Play) -> None:
    scene = play()
    scene.got(10)
    scene.process.stop.set()
    assert scene.end() == Ending("stopped by the user")
    assert stop_came(scene)
    wait_until(lambda: scene.above.lost or not scene.above.fanout.children())


def test_the_report_says_what_came(play: Play) -> None:
    scene = play()
    scene.got(10)
    scene.above.fanout.push(train(12, 3))
    scene.got(13)
    scene.process.stop.set()
    scene.end()
    report = scene.report()
    assert (report.path, report.ssrc, report.first_number) == (["rp", "n1"], SSRC, 0)
    assert (report.ts_packets, report.bytes) == (13 * PACKETS, 13 * PACKETS * 188)
    assert (report.lost_datagrams, report.duplicate_datagrams, report.reordered_datagrams) == (2, 0, 0)
    assert report.join_ms is not None
    assert report.first_keyframe_ms is not None
    assert 0 <= report.join_ms <= report.first_keyframe_ms < 5000
    assert report.duration_s > 0
    assert report.receive_buffer_bytes > 0
    assert report.request_id is not None


def test_the_duration_counts_from_the_first_media(play: Play) -> None:
    scene = play(duration=0.3)
    assert scene.end() == Ending("the duration is over")
    assert scene.report().duration_s >= 0.3
    assert stop_came(scene)


@pytest.mark.parametrize("reason", [each for each in StopReason if each is not StopReason.END])
def test_a_stop_by_the_neighbour_is_status_5_with_its_reason(play: Play, reason: StopReason) -> None:
    scene = play()
    scene.neighbour.send(stop_for(scene.asked, reason, text="because"))
    scene.neighbour.close()
    ending = scene.end()
    assert ending.status == StreamEndedError.exit_status
    assert ending.reason == f"ended by 127.0.0.1:1: {reason.name.lower()} because"


def test_a_connection_that_is_lost_is_status_5(play: Play) -> None:
    scene = play()
    scene.neighbour.close()
    ending = scene.end()
    assert ending.status == StreamEndedError.exit_status
    assert "closed the connection" in ending.reason


def test_the_end_waits_for_the_last_number_and_until_it_has_gone_out(play: Play) -> None:
    scene = play(latency=300)
    scene.neighbour.send(stop_for(scene.asked, StopReason.END, 19))
    scene.neighbour.close()
    scene.above.fanout.push(train(10, 10))
    assert scene.end() == Ending("the content is over", last=19)
    assert len(scene.output.data) == 20 * PACKETS * 188
    assert scene.report().lost_datagrams == 0


def test_the_end_does_not_wait_for_ever_for_a_last_number_that_never_comes(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_session, "DRAIN_SECONDS", 0.1)
    scene = play()
    scene.got(10)
    scene.neighbour.send(stop_for(scene.asked, StopReason.END, 12))
    assert scene.end().last == 12
    assert scene.report().lost_datagrams == 3


def test_the_user_does_not_wait_for_the_rest_of_an_end(play: Play) -> None:
    scene = play(latency=30_000)  # what has come goes out in half a minute
    wait_until(lambda: scene.session.playback.report().first_media is not None)
    scene.neighbour.send(stop_for(scene.asked, StopReason.END, 9))
    wait_until(lambda: scene.session._ending is not None)
    scene.process.stop.set()
    began = time.monotonic()
    assert scene.end().reason == "the content is over"
    assert time.monotonic() - began < 2.0


def test_silence_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_session, "GIVE_UP_SECONDS", 0.2)
    scene = play()
    scene.got(10)
    scene.above.fanout.dismiss(VIEWER_KEY)
    ending = scene.end()
    assert ending == Ending("no media for 0.2 s", StreamEndedError.exit_status)


def test_a_new_path_is_taken_in_and_an_older_one_is_not(play: Play) -> None:
    scene = play()
    for version, node in ((3, N2), (2, N1)):
        scene.neighbour.send(port_for(scene.asked, path=(RP, node), version=version, ssrc=SSRC))
    wait_until(lambda: scene.session.path == (RP, N2))
    scene.process.stop.set()
    scene.end()
    assert scene.report().path == ["rp", "n2"]


def test_another_stream_in_its_place_ends_it(play: Play) -> None:
    scene = play()
    scene.neighbour.send(port_for(scene.asked, version=2, ssrc=SSRC + 1))
    assert scene.end().status == StreamEndedError.exit_status


def test_nonsense_ends_it(play: Play) -> None:
    scene = play()
    scene.neighbour.send(disc())
    ending = scene.end()
    assert ending.status == StreamEndedError.exit_status
    assert "Disc has no place" in ending.reason


@pytest.mark.parametrize(
    ("ended", "status"),
    [(Ended("ffplay was closed"), 0), (Ended("disk full", StreamEndedError("disk full")), 5)],
)
def test_the_output_ends_it(play: Play, ended: Ended, status: int) -> None:
    scene = play()
    scene.output.end = ended
    assert scene.end() == Ending(ended.reason, status)
    assert stop_came(scene)


def test_what_ends_it_first_is_the_reason(play: Play) -> None:
    scene = play()
    scene.neighbour.send(stop_for(scene.asked, StopReason.LEAVING))
    wait_until(lambda: scene.session._ending is not None)
    scene.process.stop.set()
    scene.output.end = Ended("ffplay was closed")
    assert "leaving" in scene.end().reason


def test_a_bug_leaves_nothing_behind(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Session, "_check", bug)
    with family() as above:
        scene = Scene(above, peer)
        with pytest.raises(ValueError, match="a bug"):
            scene.session.run()
        assert stop_came(scene)
