"""What changes in the overlay, told to all open pages as it does: one thread looks, each page reads a ring.

overlay   everything: first, and when the layout has changed
changes   the nodes that are otherwise than before, the servers and the contents
happened  one event
"""

import json
import threading
from collections.abc import Callable

from mcast.monitoring import documents
from mcast.monitoring.documents import Json
from mcast.monitoring.events import EventStore
from mcast.monitoring.view import View
from mcast.net.threads import OnCrash, OwnedThread
from mcast.web.events import EventStream, event
from mcast.web.ring import Ring

LOOK = 0.25
"""Seconds between two looks: what happens is on the page at once, as people see it."""
MAX_KEPT = 8_000_000
"""Bytes that wait for pages that are slow to read: some seconds of an overlay of a thousand nodes."""


class News:
    """Owns the thread that looks."""

    def __init__(self, look: Callable[[], View], events: EventStore, on_crash: OnCrash) -> None:
        self._look, self._events = look, events
        self._ring: Ring[bytes] = Ring(MAX_KEPT, len)
        self._told: dict[str, Json] = {}
        self._told_layout: object = None
        self._told_number = events.last
        self._stopping = threading.Event()
        self._thread = OwnedThread("news", self._run, on_crash)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and all streams of news."""
        self._stopping.set()
        self._thread.join()
        self._ring.finish()

    def stream(self) -> EventStream:
        """Return what a page reads: everything first, then what changes."""
        head = self._ring.head  # first: what changes meanwhile is told twice rather than never
        return EventStream(self._ring, head, first=_overlay(self._look()))

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            self.look()

    def look(self) -> None:
        """Tell what has changed since the last look."""
        view = self._look()
        told = {name: documents.node(view, name) for name in view.layout.nodes}
        if view.layout is not self._told_layout:
            if self._told_layout is not None:
                self._ring.append(_overlay(view))
        elif changed := [each for name, each in told.items() if each != self._told.get(name)]:
            self._tell_changes(view, changed)
        self._told, self._told_layout = told, view.layout
        for document in self._events.since(self._told_number):
            self._ring.append(event(_text(document), kind="happened"))
            self._told_number += 1

    def _tell_changes(self, view: View, changed: list[Json]) -> None:
        news = {"nodes": changed, "servers": documents.servers(view), "contents": documents.contents(view)}
        self._ring.append(event(_text(news), kind="changes"))


def _overlay(view: View) -> bytes:
    return event(_text(documents.overlay(view)), kind="overlay")


def _text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
