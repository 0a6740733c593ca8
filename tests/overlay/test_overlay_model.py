"""A model test: whatever the graph, and in whatever order viewers come, leave and vanish."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from overlay.simulation import Network, SimClient

CONTENTS = ("news", "films")
LONG_ENOUGH = 30.0
"""Seconds in which every request of a simulated network has been answered."""


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw a connected graph: a random tree, and some more links."""
    names = ["rp", *(f"n{i}" for i in range(1, draw(st.integers(2, 8))))]
    tree = [(names[draw(st.integers(0, i - 1))], names[i]) for i in range(1, len(names))]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda pair: pair[0] != pair[1])
    return tree + draw(st.lists(pairs, max_size=8))


class Overlay(RuleBasedStateMachine):
    net: Network

    @initialize(links=graphs(), seed=st.integers(0, 2**32), most_delay=st.sampled_from([0.001, 0.02, 0.3]))
    def start(self, links: list[tuple[str, str]], seed: int, most_delay: float) -> None:
        self.net = Network(links, contents=CONTENTS, seed=seed, most_delay=most_delay)

    @rule(data=st.data(), content=st.sampled_from([*CONTENTS, "nothing"]), after=st.floats(0, 0.05))
    def join(self, data: st.DataObject, content: str, after: float) -> None:
        self.net.client(data.draw(st.sampled_from(sorted(self.net.nodes))), content, after=after)

    @precondition(lambda self: self._present())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._present())).leave()

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.05, 0.5]))
    def time_passes(self, seconds: float) -> None:
        self.net.run(seconds)

    @rule()
    def all_is_quiet(self) -> None:
        self.net.run(LONG_ENOUGH)
        assert not [c for c in self.net.clients if c.state == "joining"], "a request was never answered"
        self.net.check_trees()
        assert all(c.state == "streaming" for c in self._present())

    def teardown(self) -> None:
        if not hasattr(self, "net"):
            return
        self.all_is_quiet()
        for client in self._present():
            client.leave()
        self.net.run(LONG_ENOUGH)
        self.net.check_empty()

    def _present(self) -> list[SimClient]:
        return [c for c in self.net.clients if c.state in ("joining", "streaming") and c.content in CONTENTS]


TestOverlay = Overlay.TestCase
TestOverlay.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
