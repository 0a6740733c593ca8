"""A model test: whatever the graph, and in whatever order viewers come, leave and vanish, nodes die, freeze
and start again, links are cut and mended.

`Overlay` decides without media, on slow and on lossy links, too, and all must be well whenever it is quiet.
`StreamingOverlay` has media, so silence is noticed, and a `Watchdog` looks as time passes: at no step may a
loop have lasted, a link carry a copy too many, or who has a way to the rendezvous point be hungry.
"""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import ControlSilent
from overlay.effort import EFFORT, TIMEOUT
from overlay.sim_node import SimNode
from overlay.sim_watchdog import FED_SECONDS, Watchdog
from overlay.simulation import Network, Viewer

pytestmark = pytest.mark.timeout(TIMEOUT)

CONTENTS = ("news", "films")
LONG_ENOUGH = 60.0
"""Seconds in which every request of a simulated network has been answered, or given up by who asked."""


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw a connected graph: a random tree, and some more links."""
    names = ["rp", *(f"n{i}" for i in range(1, draw(st.integers(2, 8))))]
    tree = [(names[draw(st.integers(0, i - 1))], names[i]) for i in range(1, len(names))]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda pair: pair[0] != pair[1])
    return tree + draw(st.lists(pairs, max_size=8))


class Life(RuleBasedStateMachine):
    """What may happen, and what must be so when all is quiet again."""

    net: Network
    asked_for: tuple[str, ...] = CONTENTS

    def begin(self, net: Network) -> None:
        self.net, self.all_was_well = net, True
        self.frozen: set[str] = set()
        self.cut: set[tuple[str, str]] = set()

    @rule(data=st.data(), after=st.floats(0, 0.05))
    def join(self, data: st.DataObject, after: float) -> None:
        content = data.draw(st.sampled_from(self.asked_for))
        names = data.draw(
            st.lists(st.sampled_from(sorted(self.net.nodes)), min_size=1, max_size=2, unique=True)
        )
        self.net.client(*names, content=content, after=after)

    @precondition(lambda self: self._present())
    @rule(data=st.data(), how=st.sampled_from(["leave", "leave", "unwant", "die"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        viewer = data.draw(st.sampled_from(self._present()))
        match how:
            case "leave":
                viewer.leave()
            case "unwant":
                viewer.unwant()
            case _:
                viewer.state = "left"
                viewer.node.die()

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.05, 0.5]))
    def time_passes(self, seconds: float) -> None:
        self.net.run(seconds)

    @precondition(lambda self: len(self._alive()) > 1)
    @rule(data=st.data())
    def a_node_dies(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self._alive()))
        self.net.kill(name)
        self.frozen.discard(name)
        self.all_was_well = False

    @precondition(lambda self: len(self._alive()) < len(self.net.nodes))
    @rule(data=st.data())
    def a_node_starts_again(self, data: st.DataObject) -> None:
        dead = [name for name in sorted(self.net.nodes) if name not in self._alive()]
        self.net.start(data.draw(st.sampled_from(dead)))

    @precondition(lambda self: set(self._alive()) - self.frozen)
    @rule(data=st.data())
    def a_node_freezes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(set(self._alive()) - self.frozen)))
        self.net.freeze(name)
        self.frozen.add(name)
        self.all_was_well = False

    @precondition(lambda self: self.frozen)
    @rule(data=st.data())
    def a_node_thaws(self, data: st.DataObject) -> None:
        self._thaw(data.draw(st.sampled_from(sorted(self.frozen))))

    @precondition(lambda self: self._whole())
    @rule(data=st.data(), what=st.sampled_from(["both", "both", "control", "media"]))
    def a_link_is_cut(self, data: st.DataObject, what: str) -> None:
        link = data.draw(st.sampled_from(self._whole()))
        self.net.world.cut(*link, control=what != "media", media=what != "control")
        self.cut.add(link)
        self.all_was_well = False

    @precondition(lambda self: self.cut)
    @rule(data=st.data())
    def a_link_is_mended(self, data: st.DataObject) -> None:
        self._mend(data.draw(st.sampled_from(sorted(self.cut))))

    @precondition(lambda self: self._subscriptions())
    @rule(data=st.data())
    def a_control_connection_falls_silent(self, data: st.DataObject) -> None:
        """It seems so, at least: what is renewed then must leave one copy and one path."""
        node, upstream = data.draw(st.sampled_from(self._subscriptions()))
        node.handle(ControlSilent(upstream))

    @rule()
    def all_is_quiet(self) -> None:
        """What is frozen goes on, and what is cut is mended: then all comes to rest. Who is dead stays so."""
        for name in sorted(self.frozen):
            self._thaw(name)
        for link in sorted(self.cut):
            self._mend(link)
        self.net.settle(LONG_ENOUGH)
        assert not [v for v in self.net.viewers if v.state == "waiting"], "a request was never answered"
        self.net.check_trees()
        if self.all_was_well:
            assert all(viewer.state == "watching" for viewer in self._here()), self.net.viewers

    def teardown(self) -> None:
        if not hasattr(self, "net"):
            return
        self.all_is_quiet()
        for viewer in self.net.viewers:
            viewer.leave()
        self.net.run(4)  # a stream outlives by 3 s the node that died
        self.net.settle(LONG_ENOUGH)
        self.net.check_empty()

    def _thaw(self, name: str) -> None:
        self.frozen.remove(name)
        self.net.thaw(name)

    def _mend(self, link: tuple[str, str]) -> None:
        self.cut.remove(link)
        self.net.world.mend(*link)

    def _alive(self) -> list[str]:
        return [name for name, node in sorted(self.net.nodes.items()) if node.alive]

    def _whole(self) -> list[tuple[str, str]]:
        return sorted(set(self.net.graph.links) - self.cut)

    def _subscriptions(self) -> list[tuple[SimNode, UpstreamId]]:
        nodes = [node for node in self.net.all_nodes() if node.alive]
        return [(node, upstream) for node in nodes for upstream in sorted(node.upstreams)]

    def _present(self) -> list[Viewer]:
        return [viewer for viewer in self._here() if viewer.state in ("waiting", "watching")]

    def _here(self) -> list[Viewer]:
        return [
            viewer for viewer in self.net.viewers if viewer.content in CONTENTS and viewer.state != "left"
        ]


class Overlay(Life):
    asked_for = (*CONTENTS, "nothing")

    @initialize(
        links=graphs(),
        seed=st.integers(0, 2**32),
        most_delay=st.sampled_from([0.001, 0.02, 0.1, 0.3]),
        control_loss=st.sampled_from([0.0, 0.0, 0.2]),
    )
    def start(self, links: list[tuple[str, str]], seed: int, most_delay: float, control_loss: float) -> None:
        self.begin(Network(links, contents=CONTENTS, seed=seed, most_delay=most_delay))
        self.net.world.control_loss = control_loss
        # Over eight such hops a flood's four seconds may be too short: that is then said, and no more.
        self.all_was_well = most_delay < 0.3 and not control_loss


class StreamingOverlay(Life):
    @initialize(links=graphs(), seed=st.integers(0, 2**32), most_delay=st.sampled_from([0.001, 0.02]))
    def start(self, links: list[tuple[str, str]], seed: int, most_delay: float) -> None:
        self.begin(Network(links, contents=CONTENTS, seed=seed, most_delay=most_delay, media=True))
        self.troubled_at = -math.inf
        Watchdog(self.net)

    @invariant()
    def nobody_gives_up_who_has_a_way(self) -> None:
        """Who was without a way for too long has given up, and is not counted as hungry for that."""
        if not hasattr(self, "net"):
            return
        if self.frozen or self.cut or len(self._alive()) < len(self.net.nodes):
            self.troubled_at = self.net.now
        for viewer in self.net.viewers:
            if viewer.state in ("over", "failed"):
                assert self.net.now - self.troubled_at < FED_SECONDS, f"{viewer} has given up"
                viewer.state = "left"

    @rule()
    def all_is_quiet(self) -> None:
        super().all_is_quiet()
        self.net.run(2)  # what was missing is repaired
        self.net.check_media(lost=0 if self.all_was_well else 10**6)


TestOverlay = Overlay.TestCase
TestOverlay.settings = settings(stateful_step_count=25, deadline=None)

TestStreamingOverlay = StreamingOverlay.TestCase
TestStreamingOverlay.settings = settings(stateful_step_count=25, deadline=None, max_examples=15 * EFFORT)
