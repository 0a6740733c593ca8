"""What a rendezvous point tells the bootstrapper of its servers' contents: page by page, in turn.

    a b c d e f    report 1: a b, more    report 2: c d, more    report 3: e f    (nothing for a while)

A page says behind which name it begins: whoever reads it knows what is gone. A round begins when a server's
list has changed, and with each connection to the bootstrapper, which may know nothing.
"""

from collections.abc import Callable, Iterable

from mcast.wire.codec import Writer
from mcast.wire.content import ContentInfo
from mcast.wire.health import DIGEST_START_SIZE, CataloguePage, ContentHealth

LEAST_PAUSE = 5.0
"""Seconds from the beginning of one round to the next: servers list anew whenever a stream begins."""
MAX_FORMAT = 60
"""Characters of a content's format."""
MAX_SERVERS = 4
"""Servers of a content that are named, the best first."""
_TLV = 3  # bytes in front of each value


class CatalogueReporter:
    """Makes the pages. For the decider's thread."""

    def __init__(
        self,
        behind: Callable[[str], Iterable[tuple[ContentInfo, tuple[str, ...]]]],
        changes: Callable[[], int],
    ) -> None:
        """`behind` gives the contents behind a name, in order, and their servers.

        `changes` counts how often a list has changed: 0 where there are no servers.
        """
        self._behind, self._changes = behind, changes
        self._told = 0  # the changes before this round
        self._begun = float("-inf")  # when this round has, or the last one
        self._after: str | None = None  # where the next page begins; None: no round is under way

    def page(self, room: int, now: float) -> CataloguePage | None:
        """Return the next page of at most so many bytes, if one is due; it holds one content at least."""
        if self._after is None:
            if not self._is_due(now):
                return None
            self._told, self._begun, self._after = self._changes(), now, ""
        contents: list[ContentHealth] = []
        more = False
        for info, servers in self._behind(self._after):
            told = _told(info, servers)
            room -= _size(told)
            if room < 0 and contents:
                more = True
                break
            contents.append(told)
        page = CataloguePage(self._after, tuple(contents), more)
        self._after = contents[-1].name if more else None
        return page

    def begin_anew(self) -> None:
        """Tell everything again, to somebody who knows nothing."""
        self._told, self._begun, self._after = 0, float("-inf"), None

    def _is_due(self, now: float) -> bool:
        return self._changes() != self._told and now - self._begun >= LEAST_PAUSE


def _told(info: ContentInfo, servers: tuple[str, ...]) -> ContentHealth:
    return ContentHealth(
        info.name, info.format[:MAX_FORMAT], info.duration_ms, info.bit_rate, info.width, info.height,
        info.loop, info.digest[:DIGEST_START_SIZE], info.readiness, servers[:MAX_SERVERS],
    )  # fmt: skip


def _size(told: ContentHealth) -> int:
    writer = Writer()
    told.write(writer)
    return _TLV + len(writer.data())
