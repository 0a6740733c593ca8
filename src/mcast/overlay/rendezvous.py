"""What the rendezvous point knows of its servers, and which one it asks for a content.

Each server sends its list of contents and is measured all the time (choice.py). A server that does
not answer has neither, so nobody is sent there. One that has *never* answered, and was named only a
short time ago, is a doubt: a content that is not listed may be there, so it is no `absent` yet.

**Who waits while a content is prepared** asks again and again, and is told when: at most `TURNS` come in a
second, as far as `LATEST_TURN` allows, so that a crowd that waits for a premiere leaves room for others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mcast.overlay.actions import Announce, ServerParent
from mcast.overlay.branch_data import BranchData
from mcast.overlay.choice import Measurement, PingWindow, ranked
from mcast.overlay.discovery import found, miss
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason
from mcast.wire.server import ContentInfo, Readiness

BENEFIT_OF_DOUBT = 10.0
"""Seconds that a server which has never answered makes the list of contents uncertain."""
TURNS = 100
"""Requests a second for contents that are being prepared: a node remembers 400 a second (discovery.py)."""
FIRST_TURN, LATEST_TURN = 1.0, 5.0
"""Seconds until one who waits asks again: so long, at most, a viewer sees its content late."""


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
        self._last_turn = 0.0

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
        return any(self._infos(content))

    def preparing(self, content: str) -> str:
        """Return how far a content is that is still being prepared; empty if a server may send it now.

        A server at which it has failed is no help to anybody who waits, but can tell why if it is the last.
        """
        infos = list(self._infos(content))
        told = [info.format for info in infos if info.readiness is Readiness.PREPARING]
        is_ready = any(info.readiness is Readiness.READY for info in infos)
        return "" if is_ready or not told else told[0] or "preparing"

    def answer(self, disc: Disc, me: Identity, now: float) -> Found | Miss:
        """Answer a DISC for a content that the rendezvous point does not stream."""
        if text := self.preparing(disc.content):
            return miss(disc, MissReason.CUT, text, self.turn_ms(now))
        if self.has(disc.content):
            return found(disc, me)
        if doubts := self.doubts(now):
            return miss(disc, MissReason.CUT, doubts)
        return miss(disc, MissReason.ABSENT)

    def turn_ms(self, now: float) -> int:
        """Return in how many milliseconds one who waits for a content should ask again."""
        earliest = max(now + FIRST_TURN, self._last_turn + 1 / TURNS)
        self._last_turn = min(earliest, now + LATEST_TURN)
        return round((self._last_turn - now) * 1000)

    def doubts(self, now: float) -> str:
        """Return why the list of contents may be incomplete; empty if it is not."""
        doubtful = [address for address, server in self._servers.items() if self._is_doubtful(server, now)]
        return f"server {', '.join(doubtful)} has not answered yet" if doubtful else ""

    def ranking(self, content: str) -> list[ServerParent]:
        """Return the servers that have a content, the best first, and those last that are not ready."""
        having = [a for a, server in self._servers.items() if content in (server.contents or {})]
        measured = {a: m for a in having if (m := self._servers[a].pings.measurement()) is not None}
        order = [*ranked(measured), *sorted(set(having) - set(measured))]
        order.sort(key=lambda address: self._info(address, content).readiness is not Readiness.READY)
        return [ServerParent(address, self._info(address, content).digest) for address in order]

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

    def _infos(self, content: str) -> Iterator[ContentInfo]:
        for server in self._servers.values():
            if (info := (server.contents or {}).get(content)) is not None:
                yield info

    def _info(self, address: str, content: str) -> ContentInfo:
        contents = self._servers[address].contents or {}
        return contents[content]

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
