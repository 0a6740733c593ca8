"""Which contents the overlay has: asked of the nearest node, which hands the question on to who knows."""

import difflib
import os
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcast.client.options import check_neighbours, check_seconds
from mcast.config.key_file import KeyRing, read_key_file
from mcast.errors import UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.net.connection import Connection, connect
from mcast.net.deadline import Deadline
from mcast.net.handshake import Credentials
from mcast.wire.content import ContentInfo, Readiness
from mcast.wire.handshake import Role
from mcast.wire.identity import CLIENT_ID_SIZE, Identity
from mcast.wire.node import ContentsPage, ListContents, Miss

DEFAULT_PATIENCE = 5.0
"""Seconds to ask until UnreachableError is raised: more than a node waits for others (4 s)."""
MAX_PAGES = 512
"""Pages that are taken: one who never comes to an end is no node of ours."""
PAUSE = 0.3
"""Seconds until all are asked again, when none could answer: one may just be starting."""
MAX_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class Directory:
    """All contents, by name; `text` says why some may be missing."""

    contents: tuple[ContentInfo, ...]
    text: str = ""


def list_contents(
    *,
    neighbours: Iterable[str],
    patience: float = DEFAULT_PATIENCE,
    key_file: Path | None = None,
    stop: threading.Event | None = None,
) -> Directory:
    """Return what the overlay has. Raises ConfigError, and UnreachableError if nobody can tell in time.

    neighbours: nodes as `HOST:PORT`; the first that can tell is believed
    patience:   seconds to ask
    key_file:   the key that the overlay's programs share, where they have one
    stop:       setting it ends the attempt, with UnreachableError
    """
    asker = Asker(check_neighbours(neighbours), read_key_file(key_file), stop)
    return asker.ask(check_seconds(patience))


class Asker:
    """Asks the same neighbours again and again. Safe for all threads."""

    def __init__(
        self, neighbours: tuple[HostPort, ...], keys: KeyRing, stop: threading.Event | None = None
    ) -> None:
        self._neighbours, self._credentials = neighbours, Credentials(Role.CLIENT, keys)
        self._stop = stop or threading.Event()

    def ask(self, patience: float) -> Directory:
        """Return what the overlay has; see `list_contents` for what is raised."""
        deadline, why = Deadline(patience), ""
        while not deadline.expired and not self._stop.is_set():
            for place, neighbour in enumerate(self._neighbours):
                left = deadline.timeout() or 0.0
                is_last = place == len(self._neighbours) - 1
                try:
                    return self._ask_one(neighbour, Deadline(left if is_last else left / 2))
                except TimeoutError:
                    why = f"{neighbour} did not say in time; a node of an older version cannot"
                except (UnreachableError, WireError) as error:
                    why = str(error)
            self._stop.wait(min(PAUSE, deadline.timeout() or 0.0))
        raise UnreachableError(f"nobody tells which contents there are: {why or 'no time was left to ask'}")

    def _ask_one(self, neighbour: HostPort, deadline: Deadline) -> Directory:
        contents: list[ContentInfo] = []
        with connect(neighbour, deadline, cancel=self._stop, credentials=self._credentials) as connection:
            me = Identity.client(os.urandom(CLIENT_ID_SIZE))
            for _ in range(MAX_PAGES):
                page = _page(connection, me, contents[-1].name if contents else "", deadline)
                news = [info for info in page.contents if not contents or info.name > contents[-1].name]
                contents += news
                if not page.more or not news:
                    return Directory(tuple(contents), page.text)
        raise WireError(f"{neighbour} sends contents without an end")


def _page(connection: Connection, me: Identity, after: str, deadline: Deadline) -> ContentsPage:
    remaining_ms = round((deadline.remaining() or 0.0) * 1000)
    question = ListContents(request=uuid.uuid4().bytes, sender=me, remaining_ms=remaining_ms, after=after)
    connection.send(question, deadline)
    answer = connection.receive(deadline)
    if isinstance(answer, Miss):
        raise UnreachableError(f"{connection.peer}: {answer.reason.name.lower()} {answer.text}".strip())
    if not isinstance(answer, ContentsPage):
        raise WireError(f"{connection.peer} sent {type(answer).__name__} where its contents were asked")
    return answer


def kind_of(info: ContentInfo) -> str:
    """Return what a content is, in a word: live, file, loop, preparing, failed."""
    if info.readiness is not Readiness.READY:
        return info.readiness.name.lower()
    if not info.duration_ms:
        return "live"
    return "loop" if info.loop else "file"


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return a question that names the contents most like a name; empty if none is."""
    by_folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, MAX_SUGGESTIONS, 0.6)
    return f"did you mean {' or '.join(repr(by_folded[each]) for each in close)}?" if close else ""
