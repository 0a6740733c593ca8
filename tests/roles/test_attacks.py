"""One address attacks in every way at once; a viewer elsewhere joins, and one who watches misses nothing."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from mcast.hostport import HostPort
from mcast.wire.frame import Message, encode
from mcast.wire.identity import Identity
from mcast.wire.node import Disc
from mcast.wire.server import Wake
from roles.overlay_parts import Contents, Viewer, World

ATTACKER = "127.0.0.2"
SILENT = 150
"""Connections without a byte to each program: beyond the bounds, as the test lowers them."""

Act = Callable[[socket.socket], None]


class Attack:
    """Threads that do the same thing again and again until the end."""

    def __init__(self) -> None:
        self._stop, self._all = threading.Event(), contextlib.ExitStack()
        self.done = itertools.count()

    def call(self, address: HostPort) -> socket.socket:
        sock = self._all.enter_context(socket.create_connection(address, source_address=(ATTACKER, 0)))
        sock.settimeout(0.2)
        return sock

    def repeat(self, address: HostPort, message: Callable[[], Message]) -> None:
        def run() -> None:
            while not self._stop.is_set():
                with contextlib.suppress(OSError), self.call(address) as sock:
                    while not self._stop.is_set():
                        sock.sendall(encode(message()))
                        if not sock.recv(65_536):
                            break
                        next(self.done)

        thread = threading.Thread(target=run, name="attack")
        thread.start()
        self._all.callback(thread.join)
        self._all.callback(self._stop.set)  # before the join, as callbacks run backwards

    def end(self) -> None:
        self._all.close()


@pytest.fixture
def attack() -> Iterator[Attack]:
    attack = Attack()
    yield attack
    attack.end()


_ids = itertools.count(1)


def new_disc() -> Disc:
    """Ask for what nobody has, under a new id: a flood through the whole overlay."""
    sender = Identity.client(b"an attacker's id")
    return Disc(
        request=next(_ids).to_bytes(16, "little"), content="no such", sender=sender, remaining_ms=4000
    )


def test_with_all_attacks_at_once_a_viewer_joins_and_another_misses_nothing(
    world: World, attack: Attack
) -> None:
    server = world.server(Contents("news"))
    rp = world.node("rp", (str(server.address),))
    node = world.node("n1", rp=rp)
    watching = world.viewer(node, "news").watch()
    for listener in (server._listener, rp._listener, node._listener):
        assert listener._entrance is not None
        listener._entrance._waiting._most = 64
    for address in (server.address, node.address, rp.address):
        for _ in range(SILENT):
            attack.call(address)
    for _ in range(4):
        attack.repeat(node.address, new_disc)
        attack.repeat(server.address, Wake)
    newcomers: list[Viewer] = [world.viewer(node, "news").watch() for _ in range(5)]
    assert next(attack.done) > 0
    for viewer in (watching, *newcomers):
        numbers = [train.first for train in viewer.trains]
        following = [train.first + train.count for train in viewer.trains]
        assert numbers[1:] == following[:-1]
