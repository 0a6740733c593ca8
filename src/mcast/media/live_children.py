"""The live children of a content: who is sent each train at once, and how with the fewest calls.

Children at one local address share its common socket: one call sends a train to all of them. What does
not leave by it leaves by the child's own socket. A queue that fills must be one child's alone, and the
common socket's is everybody's. So when that is full, who has not been served yet gets this train by its own
socket, and the next train leaves by the common one again. Who fills its own is behind, and no longer live; it
stays out of the common one for `ALONE_SECONDS`, and then until its own queue is empty.

How far the live children are is one figure for all of them (`child.Front`).
"""

import socket
from dataclasses import dataclass

from mcast.media.child import Child
from mcast.net.multisend import MultiSender, is_available

ALONE_SECONDS = 10.0
"""How long a child is sent to by its own socket once that was full, or its address was refused."""
LEAST_TOGETHER = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Children that share a socket."""

    sender: MultiSender
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is sent to how."""

    groups: tuple[Group, ...]
    alone: tuple[Child, ...]
    until: float  # then somebody may be taken into a group again

    @property
    def children(self) -> tuple[Child, ...]:
        """Return all of them."""
        return (*(child for group in self.groups for child in group.children), *self.alone)


class LiveChildren:
    """Who is live. Everything with the lock of `Children` held; a plan is the pusher's."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._plan: Plan | None = Plan((), (), float("inf"))

    def __len__(self) -> int:
        return len(self._children)

    def add(self, child: Child) -> None:
        self._children[child.key] = child
        self._plan = None

    def remove(self, child: Child) -> None:
        if self._children.get(child.key) is child:
            del self._children[child.key]
            self._plan = None

    def changed(self) -> None:
        """Take in that a child has another address, or is to be sent to in another way."""
        self._plan = None

    def plan(self, now: float) -> Plan:
        """Return who is sent to how from now on."""
        plan = self._plan
        if plan is None or now >= plan.until:
            self._look_at_queues(now)
            plan = self._plan = self._make_plan(now)
        return plan

    def _look_at_queues(self, now: float) -> None:
        """Leave alone for longer those whose time alone is over and whose own queue is not empty."""
        for child in self._children.values():
            if 0 < child.alone_until <= now and child.sender is not None:
                child.alone_until = now + ALONE_SECONDS if child.sender.unsent else 0.0

    def _make_plan(self, now: float) -> Plan:
        together: dict[socket.socket, list[Child]] = {}
        alone: list[Child] = []
        for child in self._children.values():
            common = _socket_to_share(child, now)
            (alone if common is None else together.setdefault(common, [])).append(child)
        groups: list[Group] = []
        for common, children in together.items():
            if len(children) < LEAST_TOGETHER:
                alone += children
            else:
                addresses = [child.address for child in children if child.address is not None]
                groups.append(Group(MultiSender(common, addresses), tuple(children)))
        later = [child.alone_until for child in self._children.values() if child.alone_until > now]
        return Plan(tuple(groups), tuple(alone), min(later, default=float("inf")))


def _socket_to_share(child: Child, now: float) -> socket.socket | None:
    if not is_available or child.common is None or child.alone_until > now:
        return None
    return child.common if child.sender is not None and child.sender.offload else None
