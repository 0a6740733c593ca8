"""Thirty join crosswise at the same moment on a mesh: nobody waits for ever."""

import contextlib
import threading

import pytest

from mcast.client import Subscription
from mcast.errors import McastError
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
        with contextlib.ExitStack() as leaving:
            outcomes = join_at_once(mesh, leaving)
            assert [str(outcome) for outcome in outcomes if outcome is not None] == []
            for content in mesh.contents:
                assert len(mesh.streams(content)) == 1
        mesh.wait_idle()


def join_at_once(mesh: Topology, leaving: contextlib.ExitStack) -> list[McastError | TimeoutError | None]:
    """Let thirty join by the client's own code, started by one barrier; return what went wrong for each."""
    outcomes: list[McastError | TimeoutError | None] = [TimeoutError("still joining")] * CROWD
    barrier, nodes = threading.Barrier(CROWD), list(MESH)

    def join(number: int) -> None:
        subscription = leaving.enter_context(
            contextlib.closing(
                Subscription(
                    neighbours=[mesh.addresses.of(nodes[number % len(nodes)])],
                    content=mesh.contents[number // 2 % 2],
                    patience=LONGEST,
                )
            )
        )
        barrier.wait(LONGEST)
        try:
            subscription.start()
            subscription.wait_joined()
            outcomes[number] = None
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
