"""Numbers that no datagram has, said to whole programs: they cost who says them, and go on to nobody."""

import socket
from collections.abc import Iterator

import pytest

from helpers import PATIENCE, wait_until
from mcast.net.connection import Connection
from mcast.wire.frame import Message
from mcast.wire.position import MAX_NUMBER, Position
from mcast.wire.server import Ready, Send, Sending, SendStatus
from media.plane.parts import PATIENT
from media.plane.streams import datagram
from peers import read_to_end
from roles.overlay_parts import World, events_of
from roles.partners import TOKEN
from roles.test_server_program import Films, Taker, listing, names, running
from roles.test_servers import FakeServer

SSRC = 7
BEYOND = 2**64 - 1
RESUME_BEYOND = bytes.fromhex("4d43 01 02 00000018 03 00 02 0004 6e657773 03 000c 00000007 ffffffffffffffff")
"""CSND: go on with "news" where no stream ever comes to."""
SENDER_REPORT = bytes.fromhex(
    "80c80006 00000007 e8fe6f8000000000 00015f90 00000007 00000008"  # SR
    "81ca0002 00000007 01 01 73 00"  # SDES
    "81cc0006 00000007 4d435354 00000000 00000000"  # APP(STATE): fed, and next is sent the number ...
)
NEXT_BEYOND = SENDER_REPORT + bytes.fromhex("fffffffffffffffe")
"""One less than what says that the number is not known."""


def test_who_would_go_on_behind_all_numbers_is_cut_off_and_the_list_comes_as_before(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server(Films("news"))
    with listing(server) as lists:
        assert names(lists) == ["news"]
        for _ in range(2):
            with socket.create_connection(server.address, PATIENCE) as attacker:
                attacker.sendall(RESUME_BEYOND)
                assert read_to_end(attacker) == b""
        wait_until(lambda: server._listener.counters["bad_frames"] == 2, "both are counted")
        assert f"breaks the protocol: CSND: resume: datagram number {BEYOND}" in caplog.text
        with listing(server) as others:
            assert names(others) == ["news"]
        taker = Taker(server, "news").watch()
        assert running(lists) == [taker.ssrc]
        taker.leave()


def test_who_goes_on_at_the_highest_number_that_can_be_read_spoils_the_list_for_nobody(world: World) -> None:
    server = world.server(Films("news"))
    with listing(server) as lists:
        assert names(lists) == ["news"]
        stranger = Taker(server, "news", resume=Position(9, MAX_NUMBER)).watch()
        assert running(lists) == [stranger.ssrc]
        stranger.leave()


def test_a_viewer_who_goes_on_at_such_a_number_costs_the_rendezvous_point_no_server(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rp = world.node("rp", (str(world.server(Films("news")).address),))
    wait_until(lambda: events_of(caplog, "server_listed"), "the server's list")
    stranger = world.viewer(rp, "news")
    stranger.resume = Position(9, MAX_NUMBER)
    stranger.receive(stranger.join_somehow())
    world.viewer(rp, "news").watch()
    assert events_of(caplog, "server_lost") == []


class Forger(FakeServer):
    """Streams, and says in its SRs what the test wants."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(PATIENCE)
        self.port = self._sock.getsockname()[1]
        super().__init__("news")

    def answer(self, connection: Connection, message: Message) -> None:
        if isinstance(message, Send):
            connection.send(Sending(SendStatus.OK, self.port, TOKEN, Position(SSRC, 0)))
        elif not isinstance(message, Ready):
            super().answer(connection, message)

    def wait_for_hello(self) -> None:
        _, address = self._sock.recvfrom(2048)
        self._sock.connect(address)

    def say(self, *packets: bytes) -> None:
        for packet in packets:
            self._sock.send(packet)

    def stop(self) -> None:
        super().stop()
        self._sock.close()


@pytest.fixture
def forger() -> Iterator[Forger]:
    forger = Forger()
    yield forger
    forger.stop()


def media(first: int, end: int) -> list[bytes]:
    return [datagram(number, key=number == 0, ssrc=SSRC) for number in range(first, end)]


def test_a_server_that_reports_such_a_number_is_followed_as_before_by_all_behind_it(
    world: World, forger: Forger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.timing = PATIENT  # the forger says what the test says, and nothing else
    rp = world.node("rp", (forger.address,))
    first = world.viewer(rp, "news")
    first.receive(first.join_somehow())
    forger.wait_for_hello()
    forger.say(*media(0, 4))
    behind = world.viewer(world.node("n1", rp=rp), "news").watch()
    forger.say(NEXT_BEYOND, *media(4, 8), NEXT_BEYOND, *media(8, 12))
    for viewer in (first, behind):
        wait_until(lambda viewer=viewer: viewer.trains[-1].next == 12, "all that was sent")  # type: ignore[misc]
        assert b"".join(train.data for train in viewer.trains) == b"".join(media(0, 12))
    relay = rp._relays.get("news")
    assert relay is not None
    assert relay.counters().garbage == 2
    assert f"ignored what came from 127.0.0.1:{forger.port}" in caplog.text
    assert world.crash.calls == []
