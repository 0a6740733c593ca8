"""Which contents there are, as the overlay has said a moment ago: many viewers cost it one question."""

import threading
import time
from collections.abc import Callable

from mcast.client.directory import Directory, suggestion
from mcast.errors import McastError, NotFoundError

FRESH_SECONDS = 2.0
"""How long an answer is given again, and a failure, too."""
PATIENCE = 4.0
"""Seconds to ask: a page that takes longer is closed by who waits for it."""


class KnownContents:
    """Safe for all threads."""

    def __init__(self, ask: Callable[[float], Directory]) -> None:
        """`ask` is given its patience in seconds, and raises McastError."""
        self._ask = ask
        self._lock = threading.Lock()  # held while it is asked: all others want the same answer
        self._known: Directory | McastError | None = None
        self._known_at = 0.0

    def get(self) -> Directory:
        """Return all contents. Raises McastError if nobody can tell."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known_at > FRESH_SECONDS:
                try:
                    self._known = self._ask(PATIENCE)
                except McastError as error:
                    self._known = error
                self._known_at = time.monotonic()
            known = self._known
        if isinstance(known, McastError):
            raise type(known)(str(known))  # anew: an exception that several threads raise mixes their traces
        return known

    def doubt(self, content: str) -> McastError | None:
        """Return why nobody can tell whether there is such a content; None if there is, or may be.

        Raises NotFoundError if there surely is none.
        """
        try:
            known = self.get()
        except McastError as error:
            return error
        names = [info.name for info in known.contents]
        if content not in names and not known.text:
            meant = suggestion(content, names)
            raise NotFoundError(f"there is no content '{content}'{': ' + meant if meant else ''}")
        return None
