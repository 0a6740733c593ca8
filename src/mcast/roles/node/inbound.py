"""The connections that others have made to this node: what they may say, and how they are answered.

    listener --take--> numbered, read by the watcher --DISC, LIST, STREAM, the end--> events
                                                     '--WATCH--> the advertiser, which tells from now on
    actions  --reply, accepted, update, end--> FOUND, MISS, CONTENTS, PORT, STOP

A connection asks one thing at a time: DISC, LIST or STREAM, and the next when that is answered. The
connection whose STREAM was accepted *is* the subscription and lives until either side ends it. One that
rests, with nothing asked or taken on it, has a time, and gives way when there are too many (`Crowd`).

Media knows better than TCP whether a child lives. So the connection of a subscription is *calm*: silence of
TCP alone ends nothing, the child's lease does.

The watcher's thread calls what comes in, the decider's thread answers, and the media plane's tells of
children whose lease is over.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from mcast.errors import WireError
from mcast.eventlog import note
from mcast.hostport import IPAddress
from mcast.media.child import ChildLost
from mcast.net.calm import be_calm
from mcast.net.connection import Connection, PeerGone, say
from mcast.net.entrance import nobody
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.watcher import Watcher
from mcast.overlay.actions import ConnectionId, Update
from mcast.overlay.events import (
    ConnectionGone,
    Departure,
    DiscReceived,
    Event,
    ListReceived,
    Renewed,
    StreamReceived,
)
from mcast.overlay.further import usable
from mcast.roles.node.crowd import Crowd
from mcast.shares import UNCOUNTED, Source
from mcast.wire.frame import Message
from mcast.wire.node import (
    ContentsPage,
    Disc,
    Found,
    ListContents,
    Miss,
    MissReason,
    Port,
    Stop,
    StopReason,
    Stream,
    Watch,
)

logger = logging.getLogger(__name__)

MAX_INBOUND = 8192
"""Connections at a time. Beyond, a new one is closed, counted and logged."""
BYE_GRACE = 1.0
"""Seconds from a child's BYE until its connection is closed: its STOP, which says why it leaves and may
be overtaken by the BYE, has come by then."""


OnWatch: TypeAlias = Callable[[Watch, Connection], None]


class Decisions(Protocol):
    """Whom is told what happens: the decider."""

    def offer(self, event: Event, /) -> bool:
        """Hand in what a peer has sent; return False if too much is waiting already."""

    def post(self, event: Event, /) -> None:
        """Hand in what happened inside this process."""


@dataclass(slots=True, eq=False)
class Inbound:
    """One connection, and the subscription that lives on it if there is one."""

    owner: "InboundConnections"
    number: ConnectionId
    connection: Connection
    source: Source = UNCOUNTED  # which its questions count for
    asking: bool = False  # a DISC, LIST or STREAM that has not been answered: the next must wait
    stream: Stream | None = None  # asked for
    port: Port | None = None  # the newest answer
    how: Departure = Departure.LOST  # as it would end now
    is_deaf: bool = False  # the connection has fallen silent for good, the subscription lives on
    why: str = ""  # for the log, where the connection's own end does not say it

    def on_message(self, message: Message) -> None:
        """Take in what is said on it. In the watcher's thread."""
        self.owner.hear(self, message)

    def on_gone(self, reason: str) -> None:
        """Take in that it has ended. In the watcher's thread."""
        self.owner.miss(self, reason)

    def about(self) -> dict[str, object]:
        """Return what a log record about it says."""
        asked = {} if self.stream is None else {"request": self.stream.request}
        return {"peer": self.connection.peer, **asked}


class InboundConnections:
    """Owns the connections and numbers them, so that the core can name them. Safe for all threads."""

    def __init__(
        self, watcher: Watcher, decisions: Decisions, on_watch: OnWatch, *, most: int = MAX_INBOUND,
        is_favoured: Callable[[IPAddress], bool] = nobody,
    ) -> None:  # fmt: skip
        """`on_watch` is called, by the watcher's thread, with who would be told what this node streams.

        `is_favoured` tells whether an address is one of the layout's.
        """
        self._watcher, self._decisions, self._on_watch, self._most = watcher, decisions, on_watch, most
        self._crowd = Crowd(most, is_favoured)
        self._log = RateLimitedLog(logger)
        self._lock = threading.Lock()  # guards the next three
        self._numbers = itertools.count(1)  # never used twice: late news of one is not another's
        self._links: dict[ConnectionId, Inbound] = {}
        self._byes: dict[ConnectionId, float] = {}  # who has said BYE, and when that is taken for the end

    def __len__(self) -> int:
        return len(self._links)

    def __repr__(self) -> str:
        return f"<InboundConnections {len(self)} of {self._most}>"

    def get(self, number: ConnectionId) -> Inbound | None:
        """Return a connection, None if it has ended."""
        return self._links.get(number)

    # What comes in

    def take(self, connection: Connection) -> None:
        """Take over a connection from the listener's handler. Raises PeerGone if it has ended already."""
        admitted, gives_way = self._crowd.enter(number := next(self._numbers), connection.peer.ip)
        if gives_way is not None and (resting := self.get(gives_way)) is not None:
            self._log.info(
                "crowded_out", "closed %s, which rests: too many connections", resting.connection.peer
            )
            resting.connection.close()  # the watcher sees that
        if not admitted:
            self._log.warning("too_many_links", "refused %s: too many connections", connection.peer)
            return
        link = Inbound(self, number, connection, self._crowd.source_of(connection.peer.ip))
        with self._lock:
            self._links[number] = link
        try:
            self._watcher.watch(connection, link.on_message, link.on_gone)
        except PeerGone:
            self._remove(link.number)
            raise
        connection.detach()

    def hear(self, link: Inbound, message: Message) -> None:
        """Take in what is said on a connection. Raises WireError, PeerGone."""
        event: Event
        match message:
            case Disc() if link.stream is None and not link.asking:
                event = DiscReceived(link.number, message, link.source)
            case ListContents() if link.stream is None and not link.asking:
                event = ListReceived(link.number, message, link.source)
            case Stream() if link.stream is None and not link.asking:
                link.stream = message
                event = StreamReceived(link.number, message, link.source)
            case Watch() if link.stream is None and not link.asking:
                link.asking = True  # for good: nothing more may come on this connection
                self._crowd.takes(link.number)  # nor does it rest: the advertiser bounds who watches
                self._on_watch(message, link.connection)
                return
            case Stop():  # also behind a STREAM that was refused: the child takes its leave
                is_leaving = message.reason is StopReason.LEAVING
                link.how, link.why = Departure.LEAVING if is_leaving else Departure.UNSUBSCRIBED, ""
                raise PeerGone(f"STOP({message.reason.name.lower()})")
            case _:
                raise WireError(f"{type(message).__name__} has no place here")
        link.asking = True
        if not self._crowd.asks(link.number, link.source):
            self._too_much(link, message, MissReason.BUSY, "too many requests from one address")
        elif isinstance(message, Stream) and not self._crowd.may_take(link.number, link.source):
            self._too_much(link, message, MissReason.FULL, "too many subscriptions from one address")
        elif not self._decisions.offer(event):
            raise WireError("too many requests at once")

    def _too_much(
        self, link: Inbound, asked: Disc | ListContents | Stream, reason: MissReason, text: str
    ) -> None:
        self._log.info("too_many_requests", "%s: %s", link.connection.peer, text)
        self.reply(link.number, Miss(request=asked.request, content=asked.content, reason=reason, text=text))

    def miss(self, link: Inbound, reason: str) -> None:
        """Take in that a connection has ended."""
        with self._lock:  # on_child_lost() comes before or after
            link.is_deaf = link.connection.fell_silent and link.port is not None and not link.why
        if not link.is_deaf:  # else its lease is what ends it
            self._forget(link, reason)

    def _forget(self, link: Inbound, reason: str) -> None:
        if self._remove(link.number) is None:
            return  # the core itself has ended it
        if link.stream is not None and link.port is not None:
            why, content, child = link.why or reason, link.stream.content, link.stream.sender
            note(
                logger, "child_left", "[%s] %s has left: %s", content, child, why,
                content=content, child=child, reason=why, extra=link.about(),
            )  # fmt: skip
        self._decisions.post(ConnectionGone(link.number, link.how))

    def on_child_lost(self, number: ConnectionId, reason: ChildLost) -> None:
        """Take in that media goes to this child no more: its lease is over, or it said BYE."""
        link = self.get(number)
        if link is None or link.stream is None:
            return
        with self._lock:
            link.why = reason.name.lower()
        if reason is ChildLost.BYE:
            link.how = Departure.UNSUBSCRIBED  # unless its STOP says otherwise
            with self._lock:
                self._byes[number] = time.monotonic() + BYE_GRACE
            return
        stop = StopReason.LEASE if reason is ChildLost.LEASE else StopReason.ERROR
        say(link.connection, Stop(request=link.stream.request, content=link.stream.content,
                                  reason=stop, text=reason.text))  # fmt: skip
        self._hang_up(link)

    def on_child_caught_up(self, number: ConnectionId) -> None:
        """Take in that a child that came to resume gets the stream as it comes."""
        with self._lock:
            link = self._links.get(number)
            former = () if link is None else tuple(
                other.number for other in self._links.values() if _is_former(other, link)
            )  # fmt: skip
        if link is not None and link.stream is not None and former:
            self._decisions.post(Renewed(link.stream.content, number, former))

    def _hang_up(self, link: Inbound) -> None:
        link.connection.close()  # the watcher sees that, and the core is told
        if link.is_deaf:  # but of this one the watcher knows no more
            self._forget(link, link.why)

    def on_tick(self, now: float) -> None:
        """Close the connections of those who have said BYE and no STOP, and of those who rest too long.

        In the decider's thread.
        """
        with self._lock:
            due = [number for number, until in self._byes.items() if until <= now]
            links = [self._links[number] for number in due if number in self._links]
            for number in due:
                del self._byes[number]
            resting = [self._links[number] for number in self._crowd.overdue(now) if number in self._links]
            links += [link for link in resting if not link.asking and link.port is None]
        for link in links:
            self._hang_up(link)

    # How they are answered: in the decider's thread

    def reply(self, number: ConnectionId, message: Found | Miss | ContentsPage) -> None:
        """Answer a DISC or a LIST, or refuse a STREAM; the connection may ask again."""
        if (link := self.get(number)) is None:
            return
        if isinstance(message, Miss):
            link.stream = None
            message = replace(message, further=usable(message.further, link.connection.local.ip))
        self._crowd.rests(number)
        link.asking = False  # last: from here on the watcher's thread may take in the next request
        say(link.connection, message)

    def accepted(self, link: Inbound, port: Port) -> None:
        """Answer a STREAM with yes."""
        self._crowd.takes(link.number)
        be_calm(link.connection)
        link.asking, link.port = False, port
        say(link.connection, port)

    def refuse(self, link: Inbound, message: Miss) -> None:
        """Answer no to a STREAM that the core has accepted already, and have the core told."""
        link.how = Departure.UNSUBSCRIBED
        say(link.connection, message)
        link.connection.close()  # the watcher sees that

    def update(self, news: Update) -> None:
        """Tell a child what has changed above."""
        if (link := self.get(news.connection)) is not None and link.port is not None:
            link.port = replace(
                link.port, path=news.path, version=news.version,
                cut=news.cut, no_way=news.no_way, leaving=news.leaving,
                further=usable(news.further, link.connection.local.ip),
            )  # fmt: skip
            say(link.connection, link.port)

    def end(self, number: ConnectionId, stop: Stop) -> None:
        """Say STOP and hang up; nothing more is told of this connection."""
        if (link := self._remove(number)) is not None:
            say(link.connection, stop)
            link.connection.close()

    def close(self) -> None:
        """Hang up on all, without a word."""
        with self._lock:
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.connection.close()

    def _remove(self, number: ConnectionId) -> Inbound | None:
        self._crowd.leave(number)
        with self._lock:
            return self._links.pop(number, None)


def _is_former(other: Inbound, link: Inbound) -> bool:
    """Return whether a child has had this older subscription before it has come again, from where it is."""
    if other.stream is None or other.port is None or link.stream is None or other.number >= link.number:
        return False
    is_same = (other.stream.content, other.stream.sender) == (link.stream.content, link.stream.sender)
    return is_same and other.connection.peer.ip == link.connection.peer.ip
