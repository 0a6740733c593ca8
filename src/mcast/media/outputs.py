"""Several outputs of one stream. Each has a queue and a thread of its own, so each costs only itself.

One that breaks (its disk is full, its player has crashed) is logged, and the others go on. The stream is left
when none takes it any more. Whatever has broken, the end tells of it: who records in one place and sends to
another must hear of the recording that failed.
"""

import logging
from collections.abc import Sequence
from functools import partial

from mcast import eventlog
from mcast.media.output import Ended, Output
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 20.0
"""For the slowest of all to end: a player that shows what it has takes 8 s, and is then ended in 1 s."""


class Outputs:
    """Hands a stream to all that take it. Owns them. For one thread."""

    def __init__(self, parts: Sequence[Output], content: str, on_crash: OnCrash) -> None:
        self._parts, self._content, self._on_crash = tuple(parts), content, on_crash
        self._ended: dict[Output, Ended] = {}

    def __repr__(self) -> str:
        return f"<Outputs {list(self._parts)!r}>"

    @property
    def name(self) -> str:
        return ", ".join(part.name for part in self._parts)

    @property
    def written(self) -> int:
        return sum(part.written for part in self._parts)

    @property
    def dropped(self) -> int:
        return sum(part.dropped for part in self._parts)

    def write(self, data: bytes) -> bool:
        """Hand whole TS packets to all; return whether all had room. Never waits."""
        had_room = True
        for part in self._parts:
            if part not in self._ended:
                had_room &= part.write(data)
        return had_room

    def begin_anew(self) -> None:
        """Tell all that what is written next is another stream. Never waits."""
        for part in self._parts:
            part.begin_anew()

    def ended(self) -> Ended | None:
        """Return why the last one takes no more, or the first that has failed; None while one does."""
        for part in self._parts:
            if part not in self._ended and (ended := part.ended()) is not None:
                self._ended[part] = ended
                if len(self._ended) < len(self._parts):
                    self._note_loss(part, ended)
        return self._outcome() if len(self._ended) == len(self._parts) else None

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        """Close all at the same time; return what the first that has failed says."""

        def close(part: Output) -> None:
            if (ended := part.close(drain=drain, is_over=is_over)) is not None:
                self._ended.setdefault(part, ended)

        threads = [OwnedThread("close-output", partial(close, part), self._on_crash) for part in self._parts]
        for thread, part in zip(threads, self._parts, strict=True):
            try:
                thread.start()
            except NoThreadError:
                close(part)
        for thread in threads:
            thread.join(CLOSE_SECONDS)
        return self._outcome()

    def _outcome(self) -> Ended | None:
        all_ended = list(self._ended.values())
        failed = [ended for ended in all_ended if ended.error is not None]
        return next(iter([*failed, *reversed(all_ended)]), None)

    def _note_loss(self, part: Output, ended: Ended) -> None:
        eventlog.note(
            logger, "output_lost", "[%s] %s; the other outputs go on", self._content, ended.reason,
            level=logging.WARNING, content=self._content, output=part.name, reason=ended.reason,
        )  # fmt: skip
