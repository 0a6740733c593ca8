"""What the rendezvous point knows of its servers, and which one it asks for a content.

Each server sends its list of contents and is measured all the time (choice.py). A server that does
not answer has neither, so nobody is sent there. One that has *never* answered, and was named only a
short time ago, is a doubt: a content that is not listed may be there, so it is no `absent` yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcast.overlay.actions import Announce, ServerParent
from mcast.overlay.branch_data import BranchData
from mcast.overlay.choice import Measurement, PingWindow, ranked
from mcast.wire.server import ContentInfo

BENEFIT_OF_DOUBT = 10.0
"""Seconds that a server which has never answered makes the list of contents uncertain."""


@dataclass(slots=True)
class Server:
    """One server of the layout."""

    named_at: float
    contents: dict[str, ContentInfo] | None = None  # None: it has never sent its list
    pings: PingWindow = field(default_factory=PingWindow)


class Servers:
    """All servers that the layout gives this rendezvous point. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}

    def on_layout(self, addresses: tuple[str, ...], now: float) -> None:
        """Take in which servers there are."""
        self._servers = {each: self._servers.get(each) or Server(now) for each in addresses}

    def on_listed(self, address: str, contents: tuple[ContentInfo, ...]) -> None:
        """Take in a server's whole list."""
        if (server := self._servers.get(address)) is not None:
            server.contents = {info.name: info for info in contents}

    def on_measured(self, address: str, delay_us: int) -> None:
        """Take in a server's answer to a PING."""
        if (server := self._servers.get(address)) is not None:
            server.pings.add(delay_us)

    def on_lost(self, address: str, now: float) -> None:
        """Take in that a server does not answer: its list and its measurements are void."""
        if (server := self._servers.get(address)) is not None:
            server.pings = PingWindow()
            if server.contents is not None or not self._is_doubtful(server, now):
                server.contents = {}

    def has(self, content: str) -> bool:
        """Return whether a server has this content."""
        return any(content in (server.contents or {}) for server in self._servers.values())

    def doubts(self, now: float) -> str:
        """Return why the list of contents may be incomplete; empty if it is not."""
        doubtful = [address for address, server in self._servers.items() if self._is_doubtful(server, now)]
        return f"server {', '.join(doubtful)} has not answered yet" if doubtful else ""

    def ranking(self, content: str) -> list[ServerParent]:
        """Return the servers that have a content, the best first."""
        having = [a for a, server in self._servers.items() if content in (server.contents or {})]
        measured = {a: m for a in having if (m := self._servers[a].pings.measurement()) is not None}
        order = [*ranked(measured), *sorted(set(having) - set(measured))]
        return [ServerParent(address, self._digest(address, content)) for address in order]

    def spares(self, branch: BranchData) -> list[ServerParent]:
        """Return the servers that can go on with a branch's stream, the best first.

        Those have the same bytes: the digest tells, and the same numbers follow from it.
        """
        present = {entry.parent for entry in branch.upstreams.values()}
        return [
            parent
            for parent in self.ranking(branch.content)
            if parent.digest and parent.digest == branch.digest and parent not in present
        ]

    def explain(self, content: str, ranking: list[ServerParent]) -> list[Announce]:
        """Say why the servers are asked in this order."""
        return [_place(content, place, parent.address, self._servers[parent.address].pings.measurement())
                for place, parent in enumerate(ranking, 1)]  # fmt: skip

    def measurements(self) -> Mapping[str, Measurement]:
        """Return what was measured, by server."""
        known = {address: server.pings.measurement() for address, server in self._servers.items()}
        return {address: measured for address, measured in known.items() if measured is not None}

    def _digest(self, address: str, content: str) -> bytes:
        contents = self._servers[address].contents or {}
        return contents[content].digest

    def _is_doubtful(self, server: Server, now: float) -> bool:
        return server.contents is None and now - server.named_at < BENEFIT_OF_DOUBT


def _place(content: str, place: int, address: str, measured: Measurement | None) -> Announce:
    fields: dict[str, object] = {
        "content": content,
        "place": place,
        "server": address,
        "delay_us": measured.delay_us if measured else None,
        "latency_us": measured.latency_us if measured else None,
        "jitter_us": measured.jitter_us if measured else None,
        "metric": round(measured.metric) if measured else None,
    }
    text = f"[{content}] server choice {place}: {address}: {measured or 'not measured yet'}"
    return Announce("server_choice", text, tuple(fields.items()))
