"""What a child can tell of the way from its parent, by what arrives and what does not."""

import itertools
import logging
import socket
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import pytest

from helpers import Recorder, wait_until
from mcast.media.receiver import Receiver
from mcast.media.timing import Timing
from mcast.media.way import VANISHED_SECONDS, Doubts, Way
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.overlay.events import Feed
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import Train
from media.plane.parts import LOCAL, PATIENT, family
from media.plane.streams import SIZE, SSRC, datagram, train

NULL = datagram(0)[:HEADER_SIZE] + NULL_PACKET
REPORT = bytes.fromhex("80c8000600000000") + bytes(20)
LATER = 100 + VANISHED_SECONDS


@pytest.fixture
def way() -> Way:
    return Way("10.0.0.1:6000", 100.0)


@pytest.mark.parametrize("state", [Feed.SILENT, Feed.REFUSED])
def test_nothing_at_all_is_a_firewall(way: Way, state: Feed) -> None:
    assert way.doubt(state, 0) == "no UDP comes from 10.0.0.1:6000 though TCP is up: a firewall?"


def test_the_muteness_of_a_way_ends_with_the_first_sign(way: Way) -> None:
    doubts = Doubts()
    assert way.muteness == doubts.judge(way, Feed.SILENT, 0) == doubts.present != ""
    assert doubts.judge(way, Feed.SILENT, 0) == "", "it is said once"
    way.on_received(REPORT, len(REPORT), 0, 101.0)
    assert (way.muteness, doubts.judge(way, Feed.WAITING, 0), doubts.present) == ("", "", "")


@pytest.mark.parametrize("state", [None, Feed.CUT])
def test_nothing_yet_is_nothing_to_tell(way: Way, state: Feed | None) -> None:
    assert way.doubt(state, 0) == ""


def test_a_parent_that_falls_silent_later_is_no_firewall(way: Way) -> None:
    way.on_received(datagram(0), SIZE, 0, 100.1)
    assert way.doubt(Feed.SILENT, 0) == ""


@pytest.mark.parametrize("small", [NULL, REPORT])
def test_small_datagrams_alone_with_gaps_between_them_are_a_small_mtu(way: Way, small: bytes) -> None:
    way.on_received(small, len(small), 5, 100.1)
    assert way.doubt(Feed.FED, 5) == ""  # repair has not been tried yet
    way.on_received(small, len(small), 9, LATER)
    assert way.doubt(Feed.FED, 9) == (
        "only small datagrams arrive from 10.0.0.1:6000: MTU? try datagram_packets = 6 at the server"
    )


def test_null_packets_without_gaps_are_an_idle_source(way: Way) -> None:
    for moment in (100.1, LATER, LATER + 10):
        way.on_received(NULL, len(NULL), 0, moment)
    assert way.doubt(Feed.FED, 0) == ""


def test_large_datagrams_that_vanish_later_are_noticed_too(way: Way) -> None:
    way.on_received(datagram(0), SIZE, 3, LATER)
    assert (way.is_open, way.doubt(Feed.FED, 3)) == (True, "")
    way.on_received(NULL, len(NULL), 8, LATER + 10)
    assert "MTU" in way.doubt(Feed.FED, 8)
    assert not way.is_open
    way.on_received(datagram(9), SIZE, 8, LATER + 11)
    assert way.doubt(Feed.FED, 8) == ""


def test_one_packet_a_datagram_is_media(way: Way) -> None:
    small = datagram(0, packets=1)
    way.on_received(small, len(small), 1, LATER)
    assert way.is_open


def test_a_receiver_says_once_that_no_udp_comes(caplog: pytest.LogCaptureFixture) -> None:
    crash = Recorder()
    silent: set[int] = set()
    receiver = Receiver(
        "news",
        Position(SSRC, 0),
        "me",
        Recorder(),
        lambda upstream, _: silent.add(upstream),
        crash,
        timing=Timing(start_silence=0.05),
    )
    local = ip_address("127.0.0.1")
    with caplog.at_level(logging.WARNING), receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        for upstream in range(2):  # it is tried again
            sock, _ = open_media_socket(local, MediaPorts())
            connect_media_socket(sock, local, port)
            receiver.add_parent(upstream, sock, bytes(16), Position(SSRC, 0))
            wait_until(partial(silent.__contains__, upstream), "silence")
            receiver.remove_parent(upstream)
        assert receiver.doubt == f"no UDP comes from 127.0.0.1:{port} though TCP is up: a firewall?"
    assert [record.getMessage() for record in caplog.records].count(receiver.doubt) == 1
    assert not crash.calls


def test_a_way_that_lets_small_datagrams_through_alone_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """As a path does whose MTU is small and that tells nobody so."""
    with family(timing=PATIENT) as parent, caplog.at_level(logging.WARNING):
        viewer = parent.join(path=lambda data: len(data) < 600, repair=True)
        numbers = itertools.count(0, 5)

        def send() -> str:
            first = next(numbers)
            parent.fanout.push(train(first, 4, keys=[first]))
            parent.fanout.push(Train(first + 4, len(NULL), datagram(first + 4)[:HEADER_SIZE] + NULL_PACKET))
            return viewer.receiver.doubt

        wait_until(send, "the doubt")
        assert "only small datagrams arrive from 127.0.0.1" in viewer.receiver.doubt
        assert {item.first % 5 for item in viewer.trains} == {4}, "nothing else has come"
        wait_until(lambda: "only small datagrams" in caplog.text, "the warning")
    assert caplog.text.count("only small datagrams") == 1


def test_a_doubt_is_said_once_though_media_comes_from_the_other_parent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        family(timing=replace(PATIENT, start_silence=0.05)) as parent,
        caplog.at_level(logging.WARNING),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute,
    ):
        mute.bind(("127.0.0.1", 0))
        parent.fanout.push(train(0, 5, keys=[0]))
        viewer = parent.join()
        parent.wait_live()
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        connect_media_socket(sock, LOCAL, mute.getsockname()[1])
        viewer.receiver.add_parent(77, sock, bytes(16), Position(SSRC, 0))
        wait_until(lambda: "no UDP" in caplog.text, "the warning")
        for first in range(5, 55, 5):
            parent.fanout.push(train(first, 5))
            parent.wait_next(first + 5)
    assert caplog.text.count("no UDP comes from") == 1
