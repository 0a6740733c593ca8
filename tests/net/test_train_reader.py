"""Reading trains by a header made ready once: the same as Python's own call gives, by both ways."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from helpers import wait_until
from mcast.net import train_reader
from mcast.net.train_reader import RESERVE, TrainReader
from mcast.net.udp import TrainSender, enable_merging, open_udp
from mcast.wire.train import Train

LOCAL = ip_address("127.0.0.1")


@pytest.fixture(params=["recvmsg", "python"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TrainReader:
    if request.param == "python":
        monkeypatch.setattr(train_reader, "_RECVMSG", None)
    return TrainReader()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a sender's socket and a receiver's, connected both ways."""
    with open_udp(LOCAL) as sender, open_udp(LOCAL) as receiver:
        sender.connect(receiver.getsockname())
        receiver.connect(sender.getsockname())
        enable_merging(receiver)
        yield sender, receiver


def received(reader: TrainReader, sock: socket.socket) -> tuple[bytes, int]:
    """Return what comes next."""
    found: list[tuple[bytes, int]] = []

    def has_come() -> bool:
        try:
            found.append(reader.receive(sock))
        except BlockingIOError:
            return False
        return True

    wait_until(has_come)
    return found[0]


def test_a_train_comes_whole_with_the_size_of_its_datagrams(
    reader: TrainReader, pair: tuple[socket.socket, socket.socket]
) -> None:
    sender, receiver = pair
    data = bytes(range(250)) * 20
    TrainSender(sender).send(Train(0, 1000, data))
    assert received(reader, receiver) == (data, 1000)


def test_a_single_datagram_is_of_its_own_size_also_after_a_train(
    reader: TrainReader, pair: tuple[socket.socket, socket.socket]
) -> None:
    sender, receiver = pair
    TrainSender(sender).send(Train(0, 1000, bytes(3000)))
    assert received(reader, receiver) == (bytes(3000), 1000)
    TrainSender(sender).send_packet(b"report")
    assert received(reader, receiver) == (b"report", 6)


def test_an_empty_datagram_is_empty(reader: TrainReader, pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    sender.send(b"")
    assert received(reader, receiver)[0] == b""


def test_nothing_that_waits_is_said_at_once_and_so_is_a_closed_port(
    reader: TrainReader, pair: tuple[socket.socket, socket.socket]
) -> None:
    sender, receiver = pair
    with pytest.raises(BlockingIOError):
        reader.receive(receiver)
    sender.close()
    receiver.send(b"?")
    with pytest.raises(ConnectionRefusedError):
        reader.receive(receiver)


def test_trains_that_are_kept_stay_as_they_came(
    reader: TrainReader, pair: tuple[socket.socket, socket.socket]
) -> None:
    sender, receiver = pair
    trains = [bytes([number]) * 6_640 for number in range(3 * RESERVE // 6_640)]
    kept: list[tuple[bytes, int]] = []
    for data in trains:
        TrainSender(sender).send(Train(0, 1_328, data))
        kept.append(received(reader, receiver))
    assert kept == [(data, 1_328) for data in trains]
