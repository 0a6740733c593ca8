from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from client.neighbours import Node
from fixtures import crash, other_peer, peer
from mcast.client import Subscription
from mcast.overlay import search

__all__ = ["crash", "other_peer", "peer"]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "RETRY_PAUSE", 0.01)
    monkeypatch.setattr(search, "UNREACHABLE_PAUSE", 0.02)
    monkeypatch.setattr(search, "LEAST_TOLD_PAUSE", 0.02)


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


@pytest.fixture
def other_node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


class Subscribe(Protocol):
    """Makes a subscription that is closed at the end of the test."""

    def __call__(self, *neighbours: str, **options: Any) -> Subscription: ...


@pytest.fixture
def subscribe(node: Node) -> Iterator[Subscribe]:
    made: list[Subscription] = []

    def subscribe(*neighbours: str, **options: Any) -> Subscription:
        options = {"content": "news", "latency_ms": 20, "give_up": 0.2, **options}
        made.append(Subscription(neighbours=neighbours or (node.address,), **options))
        return made[-1]

    yield subscribe
    for subscription in made:
        subscription.close()


@pytest.fixture
def joined(node: Node, subscribe: Subscribe) -> Subscription:
    """A subscription that the node has taken in."""
    subscription = subscribe()
    subscription.start()
    node.take_in()
    assert subscription.wait_joined()
    return subscription
