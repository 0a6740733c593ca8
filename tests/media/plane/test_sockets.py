"""A content's sockets: one to say hello to per local address, one per child at the same port."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from helpers import Recorder, wait_until
from mcast.errors import ConfigError
from mcast.media.feedback import FeedbackReader
from mcast.media.sockets import ChildSockets
from mcast.net.ports import MediaPorts
from mcast.net.udp import open_udp

LOCAL, OTHER = ip_address("127.0.0.1"), ip_address("127.0.0.2")


@pytest.fixture
def reader() -> Iterator[FeedbackReader]:
    with FeedbackReader(Recorder()) as reader:
        yield reader


def test_each_address_has_one_port_for_as_long_as_it_lives(reader: FeedbackReader) -> None:
    sockets = ChildSockets(MediaPorts(), reader, lambda _: None)
    port = sockets.port_at(LOCAL)
    assert sockets.port_at(LOCAL) == port
    sockets.port_at(OTHER)
    reader.call(sockets.close, wait=True)
    with open_udp(LOCAL, port):  # free again
        pass


def test_a_connected_child_is_heard_at_its_own_socket_and_strangers_at_the_common_one(
    reader: FeedbackReader,
) -> None:
    heard: dict[bytes, socket.socket] = {}

    def hear(sock: socket.socket) -> None:
        heard[sock.recv(100)] = sock

    sockets = ChildSockets(MediaPorts(), reader, hear)
    there = ("127.0.0.1", sockets.port_at(LOCAL))
    with open_udp(LOCAL) as child, open_udp(LOCAL) as stranger:
        made: list[object] = []
        reader.call(lambda: made.append(sockets.connect(LOCAL, child.getsockname(), hear)), wait=True)
        child.sendto(b"child", there)
        stranger.sendto(b"stranger", there)
        wait_until(lambda: len(heard) == 2)
        assert heard[b"child"] is made[0]
        assert heard[b"stranger"] is not made[0]
        reader.call(sockets.close, wait=True)


def test_a_used_up_range_of_ports_is_an_error_of_the_configuration(reader: FeedbackReader) -> None:
    with open_udp(LOCAL) as taken:
        port = taken.getsockname()[1]
        sockets = ChildSockets(MediaPorts(port, port), reader, lambda _: None)
        with pytest.raises(ConfigError, match="media-ports"):
            sockets.port_at(LOCAL)
