"""What must hold in a simulated overlay at every moment, whatever fails: looked at after each step of a node.

loops    no node is above itself for longer than one detection time
copies   no node has two parents for longer than a change of parents takes
media    who is connected to the rendezvous point by living nodes and whole links is fed again in time
"""

from math import inf
from typing import TypeAlias

from mcast.overlay.actions import NodeParent, UpstreamId
from mcast.overlay.branch import Branch
from overlay.sim_node import SimNode
from overlay.simulation import Network, Viewer

Place: TypeAlias = tuple[str, str]
"""A node or a client, and a content."""

LOOK = 0.05
"""Seconds between two looks at what lasts."""
HUNGRY_LOOK = 4 * LOOK
"""The same at who is hungry."""
LOOP_SECONDS = 0.6
"""A detection time (0.3 s), and the messages after it."""
CHANGE_SECONDS = 3.5
"""Two parents are compared for 2 s (`OUTDONE`), after the second one has caught up."""
PROOF_SECONDS = 2.0
"""So much longer both are kept where a better way is tried: until no loop has shown (`OUTDONE` again)."""
FED_SECONDS = 4.0
"""Until who has a way is fed again: what is frozen makes a flood last, and so does a child that must wait."""


class Watchdog:
    """Looks at each step that a node takes, and fails when something lasts too long."""

    def __init__(self, net: Network, *, fed_seconds: float = FED_SECONDS) -> None:
        self._net, self._fed_seconds = net, fed_seconds
        self._primaries: dict[Place, tuple[SimNode, UpstreamId]] = {}  # as of the last step of each node
        self._loops: dict[frozenset[str], float] = {}  # that there are, and since when
        self._doubles: dict[Place, float] = {}  # nodes that have two parents, and since when
        self._connected: dict[str, float] = {}  # clients, since when
        self._parted: dict[str, list[tuple[float, float]]] = {}  # nodes and clients: spans without a way
        self.longest_wait = 0.0
        self.loops_seen, self.longest_loop = 0, 0.0
        self.looks = self.copies = self.takers = 0  # copies that come to nodes and clients, at all looks
        net.watchers.append(self._on_step)
        for node in net.all_nodes():
            self._on_step(node)
        net.at(LOOK, self._look)

    def had_way(self, name: str, since: float, until: float = inf) -> bool:
        """Return whether a node or a client was connected to a rendezvous point for a whole span of time."""
        return all(end < since - HUNGRY_LOOK or begin > until for begin, end in self._parted.get(name, ()))

    @property
    def copies_per_taker(self) -> float:
        """Return how many copies came to each node and client on average: one, and more during changes."""
        return self.copies / max(self.takers, 1)

    def _on_step(self, node: SimNode) -> None:
        for content, branch in node.core.branches.items():
            place, primary = (node.name, content), branch.primary
            if primary is not None and self._primaries.get(place) != (node, primary):
                self._primaries[place] = (node, primary)
                self._look_for_loop(node.name, content)
            if len(branch.upstreams) > 1 or place in self._doubles:
                self._count_parents(node, place, branch)

    def _look(self) -> None:
        self.looks += 1
        self._look_at_loops()
        self._look_at_doubles()
        if self.looks % 4 == 0:
            self._look_for_hungry()
        if self.looks % 20 == 0:
            self._count_copies()
        self._net.at(LOOK, self._look)

    # Loops

    def _look_for_loop(self, name: str, content: str) -> None:
        """Go up from a node that has another parent: a ring can only have closed here."""
        if (loop := self._ring(name, content)) is not None and loop not in self._loops:
            self._loops[loop] = self._net.now
            self.loops_seen += 1

    def _ring(self, name: str, content: str) -> frozenset[str] | None:
        way: dict[str, None] = {}
        at: str | None = name
        while at is not None and at not in way:
            way[at] = None
            at = self._parent(at, content)
        return frozenset(way) if at == name else None

    def _look_at_loops(self) -> None:
        """Let none last. (One that a process has left by dying is found to be none here.)"""
        now, before = self._net.now, self._loops
        self._loops = {}
        for loop, since in before.items():
            self.longest_loop = max(self.longest_loop, now - since)
            assert now - since <= LOOP_SECONDS, f"a loop since {since:.2f}, now {now:.2f}: {sorted(loop)}"
            if any(self._ring(min(loop), content) == loop for content in self._net.contents):
                self._loops[loop] = since

    def _parent(self, name: str, content: str) -> str | None:
        node = self._net.nodes.get(name)
        branch = node.core.branches.get(content) if node is not None and node.alive else None
        if branch is None or branch.primary is None:
            return None
        parent = branch.upstreams[branch.primary].parent
        return self._net.name_of(parent.name) if isinstance(parent, NodeParent) else None

    # Copies

    def _count_parents(self, node: SimNode, place: Place, branch: Branch) -> None:
        taken = sum(entry.accepted for entry in branch.upstreams.values())
        assert taken <= 2, f"{node.name} has three parents: {branch}"
        if taken == 2 and self._net.policy.parents == 1:
            self._doubles.setdefault(place, self._net.now)
        else:
            self._doubles.pop(place, None)

    def _look_at_doubles(self) -> None:
        now, most = self._net.now, CHANGE_SECONDS
        if self._net.policy.optimise:
            most += PROOF_SECONDS
        for (name, content), since in list(self._doubles.items()):
            node = self._net.running(name)
            branch = None if node is None or node.frozen else node.core.branches.get(content)
            if branch is None or sum(entry.accepted for entry in branch.upstreams.values()) < 2:
                del self._doubles[name, content]
            else:
                assert now - since <= most, f"{name} has two parents since {since:.2f}: {branch}"

    def _count_copies(self) -> None:
        for node in self._net.all_nodes():
            for branch in node.core.branches.values():
                taken = sum(entry.accepted for entry in branch.upstreams.values())
                self.copies += taken
                self.takers += bool(taken)

    # Media

    def _look_for_hungry(self) -> None:
        now, near, offered = self._net.now, self._connected_nodes(), self._living_nodes()
        for name in self._net.nodes:
            if name not in near:
                self._note_parted(name)
        for viewer in self._net.viewers:
            if viewer.state not in ("watching", "over", "failed", "waiting") or not viewer.node.alive:
                continue
            name = viewer.node.name
            if not self._has_way(viewer, near):
                self._note_parted(name)
                if viewer.state not in ("watching", "over") or not self._has_way(viewer, offered):
                    self._connected.pop(name, None)
                    continue
            since = max(self._connected.setdefault(name, now), viewer.media_at or 0.0)
            self.longest_wait = max(self.longest_wait, now - since)
            assert now - since <= self._fed_seconds, (
                f"{viewer} has a way, and nothing since {since:.2f}, now {now:.2f}: "
                f"{viewer.node.core.branches.get(viewer.content)}"
            )

    def _note_parted(self, name: str) -> None:
        now, spans = self._net.now, self._parted.setdefault(name, [])
        if spans and spans[-1][1] > now - 1.5 * HUNGRY_LOOK:
            spans[-1] = (spans[-1][0], now)
        else:
            spans.append((now, now))

    def _has_way(self, viewer: Viewer, near: set[str]) -> bool:
        if viewer.node.frozen:
            return False
        return any(name in near and self._is_whole(viewer.node.name, name) for name in viewer.neighbours)

    def _connected_nodes(self) -> set[str]:
        """Return the nodes that living nodes and whole links connect to a rendezvous point."""
        roots = [name for name in self._net.rendezvous if self._lives(name)]
        return self._net.graph.reached(roots, self._leads_on)

    def _living_nodes(self) -> set[str]:
        """Return who has a way beyond the links: a bootstrapper knows those that live, and a root lives."""
        names = {name for name in self._net.nodes if self._lives(name)}
        return names if self._net.bootstrapper.offers and names.intersection(self._net.rendezvous) else set()

    def _leads_on(self, one: str, other: str) -> bool:
        return self._lives(other) and self._is_whole(one, other)

    def _lives(self, name: str) -> bool:
        node = self._net.nodes[name]
        return node.alive and not node.frozen and not node.is_leaving

    def _is_whole(self, one: str, other: str) -> bool:
        link = self._net.world.link(one, other)
        one_way = self._net.world.one_way
        if (one, other) in one_way or (other, one) in one_way:
            return False
        return link.control_down_since is None and not link.media_is_down
