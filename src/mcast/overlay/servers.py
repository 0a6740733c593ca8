"""What the rendezvous point knows of its servers, and which one it asks for a content.

Each server sends its list of contents and is measured all the time (server_choice.py). A server that does
not answer has neither, so nobody is sent there. One that has *never* answered, and was named only a
short time ago, is a doubt: a content that is not listed may be there, so it is no `absent` yet.

The lists also tell which streams run, by their SSRC. A rendezvous point joins one that runs before it
begins another, so several of them carry the same numbers. Of each stream is remembered, for a minute after
nobody lists it any more, which bytes it is made of (the digest) and when one of its numbers was due:

    a server can go on with a stream    if it runs it, or has a content of the same digest
    else                                it can only begin another one: a discontinuity

**A server that hangs** still has a list and a metric for some seconds. Who was asked for a stream and said
nothing in time, or whose stream has fallen silent, is asked after all others from then on, until it answers
anything: one join waits for it, not each.

**Who waits while a content is prepared** asks again and again, and is told when: at most `TURNS` come in a
second, as far as `LATEST_TURN` allows, so that a crowd that waits for a premiere leaves room for others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from mcast.overlay.actions import Announce, Due, ServerParent
from mcast.overlay.branch_data import BranchData
from mcast.overlay.discovery import found, miss
from mcast.overlay.events import ServerListed
from mcast.overlay.server_choice import Measurement, PingWindow, ranked
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, Readiness

BENEFIT_OF_DOUBT = 10.0
"""Seconds that a server which has never answered makes the list of contents uncertain."""
TURNS = 100
"""Requests a second for contents that are being prepared: a node remembers 400 a second (discovery.py)."""
FIRST_TURN, LATEST_TURN = 1.0, 5.0
"""Seconds until one who waits asks again: so long, at most, a viewer sees its content late."""
REMEMBERED = 60.0
"""Seconds that a stream is known after it was listed last: longer than anybody searches (`--give-up`)."""
MAX_STREAMS = 1024
"""Streams that are remembered: four for each content that a node relays. Beyond, the oldest is forgotten."""


@dataclass(slots=True)
class Server:
    """One server of the layout."""

    named_at: float
    contents: dict[str, ContentInfo] | None = None  # None: it has never sent its list
    pings: PingWindow = field(default_factory=PingWindow)
    is_mute: bool = False  # it said nothing when it was asked for a stream, and has answered nothing since
    is_lost: bool = False  # it does not answer, so what it has is not known

    def info(self, content: str) -> ContentInfo | None:
        """Return what it lists of a content."""
        return (self.contents or {}).get(content)

    def runs(self, content: str, ssrc: int | None = None) -> bool:
        """Return whether it streams a content, under this SSRC if one is given."""
        info = self.info(content)
        return info is not None and any(ssrc in (None, position.ssrc) for position in info.running)


@dataclass(slots=True)
class _Stream:
    """What is known of a stream."""

    digest: bytes  # empty: a live input
    due: Due
    until: float  # it is remembered, though no server lists it


class Servers:
    """All servers that the layout gives this rendezvous point. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self.changes = 0  # of what the servers list
        self._last_turn = 0.0
        self._streams: dict[tuple[str, int], _Stream] = {}  # by content and SSRC, the oldest first

    def on_layout(self, addresses: tuple[str, ...], now: float) -> bool:
        """Take in which servers there are; return whether others are named than before."""
        is_news = self._servers.keys() != set(addresses)
        self._servers = {each: self._servers.get(each) or Server(now) for each in addresses}
        self.changes += bool(addresses)
        return is_news

    def on_listed(self, address: str, contents: tuple[ContentInfo, ...], now: float) -> None:
        """Take in a server's whole list."""
        if (server := self._servers.get(address)) is not None:
            self._part_from(server, now)
            self.changes += 1
            server.is_mute = server.is_lost = False
            server.contents = {info.name: info for info in contents}
            for info in contents:
                for position in info.running:
                    self._note(info.name, position, info.digest, now)

    def news_of(self, listed: ServerListed) -> set[str]:
        """Return the contents of a list that the server has not listed before, or not since it was lost."""
        server = self._servers.get(listed.server)
        return {info.name for info in listed.contents} - set((server.contents if server else None) or ())

    def on_accepted(self, content: str, parent: ServerParent, position: Position, now: float) -> None:
        """Take in that a server sends a stream, which it is about to list."""
        if (server := self._servers.get(parent.address)) is not None:
            server.is_mute = False
        self._note(content, position, parent.digest, now)

    def on_measured(self, address: str, delay_us: int) -> None:
        """Take in a server's answer to a PING."""
        if (server := self._servers.get(address)) is not None:
            server.pings.add(delay_us)
            server.is_mute = False

    def on_mute(self, address: str) -> None:
        """Take in that a server which was asked for a stream has said nothing within its time."""
        if (server := self._servers.get(address)) is not None:
            server.is_mute = True

    def on_lost(self, address: str, now: float) -> None:
        """Take in that a server does not answer: its list and its measurements are void."""
        if (server := self._servers.get(address)) is not None:
            self._part_from(server, now)
            self.changes += 1
            server.is_lost = True
            server.pings = PingWindow()
            if server.contents is not None or not self._is_doubtful(server, now):
                server.contents = {}

    def names(self, address: str) -> bool:
        """Return whether the layout names this server."""
        return address in self._servers

    def has(self, content: str) -> bool:
        """Return whether a server has this content."""
        return any(self._infos(content))

    def is_mute(self, content: str) -> bool:
        """Return whether all servers that have a content say nothing when they are asked for a stream."""
        return all(server.is_mute for server in self._servers.values() if server.info(content) is not None)

    def preparing(self, content: str) -> str:
        """Return how far a content is that is still being prepared; empty if a server may send it now.

        A server at which it has failed is no help to anybody who waits, but can tell why if it is the last.
        """
        infos = list(self._infos(content))
        told = [info.format for info in infos if info.readiness is Readiness.PREPARING]
        return "" if any(map(_is_ready, infos)) or not told else told[0] or "preparing"

    def answer(self, disc: Disc, me: Identity, now: float) -> Found | Miss:
        """Answer a DISC for a content that the rendezvous point does not stream."""
        if text := self.preparing(disc.content):
            return miss(disc, MissReason.CUT, text, self.turn_ms(now))
        if self.has(disc.content):
            return found(disc, me)
        if doubts := self.doubts(now):
            return miss(disc, MissReason.CUT, doubts)
        return miss(disc, MissReason.ABSENT)

    def listed(self) -> Iterator[ContentInfo]:
        """Yield all contents; of one that several servers have, what the best of them says."""
        for content in {name for server in self._servers.values() for name in server.contents or {}}:
            best = self._servers[self.ranking(content)[0].address].info(content)
            assert best is not None, "the ranking names only those that list it"
            yield best

    def behind(self, name: str) -> Iterator[tuple[ContentInfo, tuple[str, ...]]]:
        """Yield the contents behind a name, in order: what the best server says, and all that have it."""
        names = {each for server in self._servers.values() for each in server.contents or {} if each > name}
        for content in sorted(names):
            addresses = tuple(parent.address for parent in self.ranking(content))
            best = self._servers[addresses[0]].info(content)
            assert best is not None, "the ranking names only those that list it"
            yield best, addresses

    def turn_ms(self, now: float) -> int:
        """Return in how many milliseconds one who waits for a content should ask again."""
        earliest = max(now + FIRST_TURN, self._last_turn + 1 / TURNS)
        self._last_turn = min(earliest, now + LATEST_TURN)
        return round((self._last_turn - now) * 1000)

    def unreached(self) -> str:
        """Return which servers do not answer, in words; empty if all do."""
        lost = [address for address, server in self._servers.items() if server.is_lost]
        return f"no answer from server {', '.join(lost)}" if lost else ""

    def doubts(self, now: float) -> str:
        """Return why the list of contents may be incomplete; empty if it is not."""
        doubtful = [address for address, server in self._servers.items() if self._is_doubtful(server, now)]
        return f"server {', '.join(doubtful)} has not answered yet" if doubtful else ""

    def ranking(self, content: str) -> list[ServerParent]:
        """Return the servers that have a content: who streams it, then the best, then who is not ready.

        Last of all who is mute.
        """
        by_metric = self._by_metric(content)
        order = sorted(by_metric, key=lambda address: not self._servers[address].runs(content))
        order.sort(key=lambda address: not self._is_ready(address, content))
        order.sort(key=lambda address: self._servers[address].is_mute)
        return [ServerParent(address, self._digest(address, content)) for address in order]

    def ranking_onward(self, content: str, ssrc: int, now: float) -> list[ServerParent]:
        """Return the same for who wants a certain stream: who runs it, who can go on with it, the others.

        Again last of all who is mute.
        """
        parents = [
            replace(parent, goes_on=self._can_go_on(content, ssrc, parent.address, now))
            for parent in self.ranking(content)
        ]
        return sorted(
            parents,
            key=lambda each: (
                self._servers[each.address].is_mute,
                not self._servers[each.address].runs(content, ssrc),
                not each.goes_on,
            ),
        )

    def spares(self, branch: BranchData, now: float) -> list[ServerParent]:
        """Return the servers that can go on with a branch's stream, the best first."""
        return [parent for parent in self._absent(branch, now) if parent.goes_on]

    def others(self, branch: BranchData, now: float) -> list[ServerParent]:
        """Return the servers that can only begin another stream of a branch's content, the best first."""
        return [parent for parent in self._absent(branch, now) if not parent.goes_on]

    def due(self, content: str, ssrc: int) -> Due | None:
        """Return when one of a stream's numbers was due, if that is known."""
        stream = self._streams.get((content, ssrc))
        return stream.due if stream is not None else None

    def explain(self, content: str, ranking: list[ServerParent]) -> list[Announce]:
        """Say why the servers are asked in this order."""
        return [_place(content, place, parent.address, self._servers[parent.address])
                for place, parent in enumerate(ranking, 1)]  # fmt: skip

    def measurements(self) -> Mapping[str, Measurement]:
        """Return what was measured, by server."""
        known = {address: server.pings.measurement() for address, server in self._servers.items()}
        return {address: measured for address, measured in known.items() if measured is not None}

    def _infos(self, content: str) -> Iterator[ContentInfo]:
        return (info for server in self._servers.values() if (info := server.info(content)) is not None)

    def _is_ready(self, address: str, content: str) -> bool:
        info = self._servers[address].info(content)
        return info is not None and _is_ready(info)

    def _by_metric(self, content: str) -> list[str]:
        having = [a for a, server in self._servers.items() if server.info(content) is not None]
        measured = {a: m for a in having if (m := self._servers[a].pings.measurement()) is not None}
        return [*ranked(measured), *sorted(set(having) - set(measured))]

    def _absent(self, branch: BranchData, now: float) -> list[ServerParent]:
        """Return the servers that have a branch's content and are no parents of it now."""
        present = {entry.parent for entry in branch.upstreams.values()}
        if branch.position is None:
            return []
        ranking = self.ranking_onward(branch.content, branch.position.ssrc, now)
        return [parent for parent in ranking if parent not in present]

    def _digest(self, address: str, content: str) -> bytes:
        info = self._servers[address].info(content)
        return info.digest if info is not None else b""

    def _can_go_on(self, content: str, ssrc: int, address: str, now: float) -> bool:
        """Return whether a server has the bytes of a stream: by its list, or by the digest."""
        if self._servers[address].runs(content, ssrc):
            return True
        digest, stream = self._digest(address, content), self._known(content, ssrc, now)
        if stream is not None:
            return bool(digest) and digest == stream.digest
        # A rendezvous point that has just begun knows no stream. Where all servers have the same bytes there
        # is hardly a doubt which ones it was made of.
        return bool(digest) and {self._digest(each, content) for each in self._by_metric(content)} == {digest}

    def _known(self, content: str, ssrc: int, now: float) -> _Stream | None:
        stream = self._streams.get((content, ssrc))
        if stream is None or now < stream.until:
            return stream
        return stream if any(server.runs(content, ssrc) for server in self._servers.values()) else None

    def _note(self, content: str, position: Position, digest: bytes, now: float) -> None:
        known = self._streams.pop((content, position.ssrc), None)
        if known is not None:  # what a server has prepared meanwhile under this name is another stream's
            digest = known.digest
        due = Due(position.next, now)
        self._streams[content, position.ssrc] = _Stream(digest, due, now + REMEMBERED)
        while len(self._streams) > MAX_STREAMS:
            del self._streams[next(iter(self._streams))]

    def _part_from(self, server: Server, now: float) -> None:
        """Take in that what a server lists is about to change: its streams are remembered from now on."""
        for info in (server.contents or {}).values():
            for position in info.running:
                if (stream := self._streams.get((info.name, position.ssrc))) is not None:
                    stream.until = now + REMEMBERED

    def _is_doubtful(self, server: Server, now: float) -> bool:
        return server.contents is None and now - server.named_at < BENEFIT_OF_DOUBT


def _is_ready(info: ContentInfo) -> bool:
    """Return whether a content can be sent now: what was prepared before a server's file changed runs on."""
    return info.readiness is Readiness.READY or bool(info.running)


def _place(content: str, place: int, address: str, server: Server) -> Announce:
    measured = server.pings.measurement()
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
    if server.is_mute:
        text += "; it said nothing when it was asked last"
    return Announce("server_choice", text, tuple(fields.items()))
