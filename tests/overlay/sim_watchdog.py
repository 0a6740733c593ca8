"""What must hold in a simulated overlay at every moment, whatever fails: looked at twenty times a second.

loops    no node is above itself for longer than one detection time
copies   no node has two parents for longer than a change of parents takes
media    who is connected to the rendezvous point by living nodes and whole links is fed again in time
"""

from collections import deque
from collections.abc import Iterator

from mcast.overlay.actions import NodeParent
from overlay.sim_node import SimNode
from overlay.simulation import Network, Viewer

LOOK = 0.05
LOOP_SECONDS = 0.6
"""A detection time (0.3 s), and the messages after it."""
CHANGE_SECONDS = 3.5
"""Two parents are compared for 2 s (`OUTDONE`), after the second one has caught up."""
PROOF_SECONDS = 2.0
"""So much longer both are kept where a better way is tried: until no loop has shown (`OUTDONE` again)."""
FED_SECONDS = 4.0
"""Until who has a way is fed again: what is frozen makes a flood last, and so does a child that must wait."""


class Watchdog:
    """Looks at everything, and fails when something lasts too long."""

    def __init__(self, net: Network, *, fed_seconds: float = FED_SECONDS) -> None:
        self._net, self._fed_seconds = net, fed_seconds
        self._loops: dict[frozenset[str], float] = {}
        self._doubles: dict[tuple[str, str], float] = {}
        self._connected: dict[str, float] = {}  # clients, since when
        self.longest_wait = 0.0
        self.looks = 0
        net.at(LOOK, self._look)

    def _look(self) -> None:
        self.looks += 1
        self._look_for_loops()
        self._look_for_doubles()
        if self.looks % 4 == 0:
            self._look_for_hungry()
        self._net.at(LOOK, self._look)

    # Loops

    def _look_for_loops(self) -> None:
        now, before = self._net.now, self._loops
        self._loops = {}
        for loop in self._present_loops():
            since = self._loops[loop] = before.get(loop, now)
            assert now - since <= LOOP_SECONDS, f"a loop since {since:.2f}, now {now:.2f}: {sorted(loop)}"

    def _present_loops(self) -> Iterator[frozenset[str]]:
        for content in self._net.contents:
            above = {node.name: parent for node in self._net.nodes.values()
                     if node.alive and (parent := self._parent(node, content))}  # fmt: skip
            known: set[str] = set()
            for name in above:
                way: list[str] = []
                while name in above and name not in known:
                    known.add(name)
                    way.append(name)
                    name = above[name]
                if name in way:
                    yield frozenset(way[way.index(name) :])

    def _parent(self, node: SimNode, content: str) -> str | None:
        branch = node.core.branches.get(content)
        if branch is None or branch.primary is None:
            return None
        parent = branch.upstreams[branch.primary].parent
        return self._net.name_of(parent.name) if isinstance(parent, NodeParent) else None

    # Copies

    def _look_for_doubles(self) -> None:
        now, before = self._net.now, self._doubles
        self._doubles = {}
        for node in self._net.all_nodes():
            for content, branch in node.core.branches.items():
                taken = [entry for entry in branch.upstreams.values() if entry.accepted]
                assert len(taken) <= 2, f"{node.name} has three parents: {branch}"
                if len(taken) == 2 and not node.frozen and self._net.policy.parents == 1:
                    since = self._doubles[node.name, content] = before.get((node.name, content), now)
                    most = CHANGE_SECONDS + (PROOF_SECONDS if self._net.policy.optimise else 0.0)
                    assert now - since <= most, f"{node.name} has two parents since {since:.2f}: {branch}"

    # Media

    def _look_for_hungry(self) -> None:
        now, near = self._net.now, self._connected_nodes()
        for viewer in self._net.viewers:
            if viewer.state not in ("watching", "over", "failed", "waiting") or not viewer.node.alive:
                continue
            name = viewer.node.name
            if not self._has_way(viewer, near):
                self._connected.pop(name, None)
                continue
            since = max(self._connected.setdefault(name, now), viewer.media_at or 0.0)
            self.longest_wait = max(self.longest_wait, now - since)
            assert now - since <= self._fed_seconds, (
                f"{viewer} has a way, and nothing since {since:.2f}, now {now:.2f}: "
                f"{viewer.node.core.branches.get(viewer.content)}"
            )

    def _has_way(self, viewer: Viewer, near: set[str]) -> bool:
        if viewer.node.frozen:
            return False
        return any(name in near and self._is_whole(viewer.node.name, name) for name in viewer.neighbours)

    def _connected_nodes(self) -> set[str]:
        """Return the nodes that living nodes and whole links connect to a rendezvous point."""
        net = self._net
        around: dict[str, list[str]] = {}
        for one, other in net.links:
            around.setdefault(one, []).append(other)
            around.setdefault(other, []).append(one)
        roots = [name for name in net.rendezvous if self._lives(name)]
        known, new = set(roots), deque(roots)
        while new:
            at = new.popleft()
            for name in around.get(at, ()):
                if name not in known and self._lives(name) and self._is_whole(at, name):
                    known.add(name)
                    new.append(name)
        return known

    def _lives(self, name: str) -> bool:
        node = self._net.nodes[name]
        return node.alive and not node.frozen and not node.is_leaving

    def _is_whole(self, one: str, other: str) -> bool:
        link = self._net.world.link(one, other)
        return link.control_down_since is None and not link.media_is_down
