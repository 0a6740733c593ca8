"""Thirty join crosswise at the same moment on a mesh: nobody waits for ever."""

import os
import threading

import pytest

from mcast.errors import McastError
from mcast.hostport import parse_address
from mcast.net.ports import MediaPorts
from mcast.roles.client.joiner import Joined, Joiner
from mcast.wire.identity import CLIENT_ID_SIZE, Identity
from topology.conftest import Build
from topology.harness import MESH, Topology

CROWD = 30
ROUNDS = 5
LONGEST = 15.0
"""Seconds within which everybody must have joined: collisions are tried again after 20 to 80 ms."""


@pytest.fixture
def mesh(build: Build) -> Topology:
    return build(MESH, ("clip", "other"))


def test_thirty_programs_that_join_at_once_all_get_every_byte(mesh: Topology) -> None:
    nodes = list(MESH)
    for _ in range(2):
        clients = [
            mesh.client(nodes[number % len(nodes)], mesh.contents[number % 2], seconds=1)
            for number in range(CROWD)
        ]
        for client in clients:
            client.finish(timeout=60)
        for client in clients:
            mesh.assert_complete(client, decode=False)
        mesh.wait_idle()


def test_thirty_requests_in_the_same_millisecond_are_all_granted_again_and_again(mesh: Topology) -> None:
    """Rounds, each from nothing: no stream runs anywhere when the thirty ask at once."""
    for _ in range(ROUNDS):
        outcomes = join_at_once(mesh)
        assert [str(outcome) for outcome in outcomes if not isinstance(outcome, Joined)] == []
        for content in mesh.contents:
            assert len(mesh.streams(content)) == 1
        for outcome in outcomes:
            assert isinstance(outcome, Joined)
            outcome.connection.close()
            outcome.sock.close()
        mesh.wait_idle()


def join_at_once(mesh: Topology) -> list[Joined | McastError | None]:
    """Let thirty join by the client's own code, started by one barrier."""
    outcomes: list[Joined | McastError | None] = [None] * CROWD
    barrier, nodes = threading.Barrier(CROWD), list(MESH)

    def join(number: int) -> None:
        joiner = Joiner(
            parse_address(mesh.addresses.of(nodes[number % len(nodes)])),
            mesh.contents[number // 2 % 2],
            Identity.client(os.urandom(CLIENT_ID_SIZE)),
            MediaPorts(),
            threading.Event(),
            patience=LONGEST,
        )
        barrier.wait()
        try:
            outcomes[number] = joiner.join()
        except McastError as error:
            outcomes[number] = error

    threads = [
        threading.Thread(target=join, args=(number,), name=f"join-{number}") for number in range(CROWD)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST + 10)
    return outcomes
