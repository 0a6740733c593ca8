"""What changes in the overlay, told to all open pages as it does: one thread looks, each page reads a ring.

    overlay   everything, and the epoch of the events' numbers: first, and when the layout has changed
    changes   the nodes that have reported, come or gone, the servers and the contents; and the contents that
              nobody watches, if they are others than before
    happened  one event

As long as no page is open nothing is made up for one.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from mcast.monitoring import documents
from mcast.monitoring.documents import Json
from mcast.monitoring.events import EventStore
from mcast.monitoring.view import View
from mcast.net.threads import OnCrash, OwnedThread
from mcast.web.events import EventStream, event
from mcast.web.ring import Ring
from mcast.wire.bootstrap import Health

LOOK = 0.25
"""Seconds between two looks: what happens is on the page at once, as people see it."""
MAX_KEPT = 8_000_000
"""Bytes that wait for pages that are slow to read: some seconds of an overlay of a thousand nodes."""


class News:
    """Owns the thread that looks."""

    def __init__(self, look: Callable[[], View], events: EventStore, on_crash: OnCrash) -> None:
        self._look, self._events = look, events
        self._ring: Ring[bytes] = Ring(MAX_KEPT, len)
        self._lock = threading.Lock()  # guards the next
        self._pages = 0  # that are open
        self._told: Mapping[str, Health] = {}  # the last report of each node that is up
        self._told_layout: object = None
        self._told_unwatched: list[str] = []
        self._told_number = events.last
        self._stopping = threading.Event()
        self._thread = OwnedThread("news", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<News for {self._pages} pages, {self._ring!r}>"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and all streams of news."""
        self._stopping.set()
        self._thread.join()
        self._ring.finish()

    def stream(self) -> "PageStream":
        """Return what a page reads, to be closed: everything first, then what changes."""
        self._count(1)
        head = self._ring.head  # first: what changes meanwhile is told twice rather than never
        return PageStream(EventStream(self._ring, head, self._overlay(self._look())), lambda: self._count(-1))

    def _count(self, more: int) -> None:
        with self._lock:
            self._pages += more

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self.look()

    def look(self) -> None:
        """Tell what has changed since the last look, if anybody listens."""
        view = self._look()
        # Taken before anything is told: a node that reports meanwhile is told of twice rather than never.
        heard = {name: status.health for name, status in view.nodes.items()}
        events = self._events.since(self._told_number)
        self._told_number += len(events)
        if self._pages:
            self._tell(view, heard, events)
        self._told = heard
        self._told_layout = view.layout

    def _tell(self, view: View, heard: Mapping[str, Health], events: Iterable[Json]) -> None:
        if view.layout is not self._told_layout:
            self._ring.append(self._overlay(view))
        elif changed := self._changed(heard):
            nodes = [documents.node(view, name) for name in view.layout.nodes if name in changed]
            news = {"nodes": nodes, "servers": documents.servers(view), "contents": documents.contents(view)}
            self._ring.append(event(_text({**news, **self._changed_unwatched(view)}), kind="changes"))
        for document in events:
            self._ring.append(event(_text(document), kind="happened"))

    def _overlay(self, view: View) -> bytes:
        told = {**documents.overlay(view), "epoch": self._events.epoch}
        return event(_text(told), kind="overlay")

    def _changed_unwatched(self, view: View) -> Json:
        """Return the contents that nobody watches, if they are others than before: they may be a thousand."""
        before, self._told_unwatched = self._told_unwatched, documents.unwatched(view)
        return {} if self._told_unwatched == before else {"unwatched": self._told_unwatched}

    def _changed(self, heard: Mapping[str, Health]) -> set[str]:
        """Return the nodes that have come, gone, or reported."""
        up = {name for name, health in heard.items() if self._told.get(name) is not health}
        return up | (self._told.keys() - heard.keys())


class PageStream:
    """What one page reads."""

    def __init__(self, stream: EventStream, on_close: Callable[[], None]) -> None:
        self._stream, self._on_close = stream, on_close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        """Note that the page is read no more."""
        self._on_close()


def _text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
