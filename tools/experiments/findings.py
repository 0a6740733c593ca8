"""What several experiments look at alike: copies per link, recordings, pictures of a tree."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tools.experiments.branches import Branch, copies
from tools.experiments.deployment import DeployedScenario
from tools.experiments.map_picture import Badge, Map, draw_map
from tools.experiments.rate_picture import Mark, Row, draw_rates
from tools.experiments.svg import CONTENT_COLOURS, Svg
from tools.experiments.tally import Tally
from tools.experiments.verdict import Verdict
from tools.lab.counters import Flow

LEAST, MOST = 0.9, 1.15
"""How many copies count as one: a second one would be 2; control messages, and what a link still holds at
the ends of the window, move the figure by a few per cent."""
MOST_ASIDE = 0.1
"""Of a copy, on links that carry no media: reports, warm connections between neighbours."""
RATE_STEP = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class LinkCopies:
    """One direction of one link within a window of time. Where contents differ, a copy is their mean."""

    flow: Flow
    branches: int  # that cross it, and so the copies that it should carry
    measured: float  # copies: its bytes divided by the stream's
    bits_per_second: float
    unicast: int  # copies, if the server sent to each client by itself

    @property
    def as_it_should_be(self) -> bool:
        return LEAST * self.branches <= self.measured <= MOST * self.branches

    @property
    def row(self) -> tuple[str, ...]:
        return (
            name_of(self.flow), f"{self.bits_per_second / 1e6:.3f}", str(self.branches),
            f"{self.measured:.2f}", str(self.unicast),
        )  # fmt: skip


LINK_HEAD = ("link", "Mbit/s", "branches of the tree", "copies measured", "copies by unicast")


def link_copies(
    tally: Tally,
    window: tuple[float, float],
    branches: Sequence[Branch],
    unicast: Counter[Flow],
    units: Mapping[str, float],
) -> list[LinkCopies]:
    """Count copies on each link that a tree or unicast would use.

    `units` are the bytes of one copy of each content within the window, as some link has carried them.
    """
    carried = tally.between(*window)
    expected = copies(branches)
    due: Counter[Flow] = Counter()
    for branch in branches:
        due.update(dict.fromkeys(branch.flows, round(units[branch.content])))
    mean = max(1.0, sum(units.values()) / len(units))

    def count(flow: Flow) -> LinkCopies:
        size = carried[flow].sent_bytes
        one = due[flow] / expected[flow] if due[flow] else mean
        return LinkCopies(flow, expected[flow], size / one, size * 8 / (window[1] - window[0]), unicast[flow])

    return [count(flow) for flow in dict.fromkeys([*expected, *unicast])]


def branch_copies(branches: Iterable[Branch], links: Iterable[LinkCopies]) -> dict[Branch, float]:
    """Return the copies on each branch: on its worst link, that link's copies shared by its branches."""
    known = {link.flow: link for link in links}
    shared = {flow: link.measured / max(1, link.branches) for flow, link in known.items()}
    return {
        branch: max((shared[flow] for flow in branch.flows), key=lambda n: abs(n - 1)) for branch in branches
    }


def name_of(flow: Flow) -> str:
    return f"{flow.sender} > {flow.receiver}"


def roles_of(deployed: DeployedScenario) -> dict[str, str]:
    """Return each device's role for the picture; routers are left out."""
    addresses = deployed.addresses
    return {
        deployed.routes.owner(addresses.bootstrap.host): "bootstrapper",
        **dict.fromkeys(addresses.layout.nodes, "overlay"),
        deployed.rendezvous: "rendezvous",
        **dict.fromkeys(addresses.servers, "server"),
        **dict.fromkeys(addresses.clients, "client"),
    }


def judge_copies(verdict: Verdict, branches: Sequence[Branch], links: Sequence[LinkCopies]) -> None:
    """Check that each branch of the trees carries one copy, that nothing else does, and what that saves."""
    used = [link for link in links if link.branches]
    unused = [link.measured for link in links if not link.branches]
    measured = branch_copies(branches, links).values()
    verdict.check(
        f"copies on each of {len(measured)} overlay links", f"{min(measured):.2f} to {max(measured):.2f}",
        f"1 ({LEAST} to {MOST})", all(link.as_it_should_be for link in used),
    )  # fmt: skip
    if unused:
        verdict.check(
            f"copies on {len(unused)} links that only unicast would take", f"{max(unused):.2f} at most",
            f"0 (below {MOST_ASIDE})", max(unused) < MOST_ASIDE,
        )  # fmt: skip
    total, unicast = sum(link.measured for link in used), sum(link.unicast for link in links)
    verdict.check(
        "copies over all links, and by unicast",
        f"{total:.1f}, {unicast}",
        "fewer than by unicast",
        total < unicast,
    )


def map_of(
    deployed: DeployedScenario,
    branches: Sequence[Branch],
    links: Iterable[LinkCopies],
    title: str,
    subtitle: str,
    footer: str,
) -> Svg:
    """Draw the trees, with what each link carries and would carry by unicast."""
    badges = {
        link.flow: Badge(f"{link.measured:.2f}×", f"unicast {link.unicast}×", bool(link.branches))
        for link in links
    }
    return draw_tree(deployed, branches, badges, title, subtitle, footer)


def draw_tree(
    deployed: DeployedScenario,
    branches: Sequence[Branch],
    badges: Mapping[Flow, Badge],
    title: str,
    subtitle: str,
    footer: str,
) -> Svg:
    """Draw trees over the scenario's topology."""
    options = {link.name: deployed.lab.options(link.name)[0] for link in deployed.lab.scenario.links}
    return draw_map(
        Map(deployed.lab.scenario, roles_of(deployed), branches, badges, title, subtitle, footer, options)
    )


def rates_of(
    tally: Tally, branches: Sequence[Branch], marks: Sequence[Mark], start: float, end: float, title: str
) -> Svg:
    """Draw each link of some trees, in the order of the trees; what several contents share is grey."""
    colours: dict[Flow, str] = {}
    contents = [*dict.fromkeys(branch.content for branch in branches)]
    for branch in branches:
        colour = CONTENT_COLOURS[contents.index(branch.content)]
        for flow in branch.flows:
            colours[flow] = colour if colours.setdefault(flow, colour) == colour else "#6b7280"
    rows = [
        Row(name_of(flow), tally.rates(flow, start, end, RATE_STEP), colour)
        for flow, colour in colours.items()
    ]
    return draw_rates(title, rows, marks, start, end)
