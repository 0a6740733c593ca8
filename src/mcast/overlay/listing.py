"""Which contents there are: a question that is handed on towards a rendezvous point, which alone knows.

    asker --LIST--> node --LIST--> a neighbour nearer to a rendezvous point ... --> rendezvous point
      ^---CONTENTS---'<--CONTENTS, page by page ----------------------------------------'

What has come is kept for `FRESH_SECONDS`, counted from when the rendezvous point has said it, so that many
who ask cost one question. The answer is a page: as many contents as surely fit a frame, and whether there
are more; the next page is asked for by the last name of this one.

Neighbours are asked one after another, the nearest to a rendezvous point first, each but the last for half of
the time that is left. One that is too old to know the question says nothing or hangs up, and the next is
asked. Questions are never put together to one, because two that wait for each other's would wait for ever;
one that comes again by another way gets MISS(duplicate).
"""

import bisect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from mcast.overlay.actions import Action, AskList, CancelAsks, ConnectionId, Reply
from mcast.overlay.discovery import LEAST_TIME_MS, MAX_HOPS, MAX_TIME_MS
from mcast.overlay.events import Answered, ConnectionGone, Event, ListReceived, TimePassed, Unasked
from mcast.overlay.neighbours import Neighbours
from mcast.overlay.root import Root
from mcast.shares import Shares, Source
from mcast.wire.codec import Writer
from mcast.wire.content import ContentInfo
from mcast.wire.identity import Identity
from mcast.wire.node import ContentsPage, ListContents, Miss, MissReason

FRESH_SECONDS = 2.0
"""How old a list may be that is answered: a new content is seen so soon, and pages fit together."""
MAX_QUESTIONS = 64
"""Questions handed on at a time. Beyond: MISS(busy)."""
MAX_LISTED = 8192
"""Contents of one list. What is beyond is left out, and the text says so."""
PAGE_BYTES = 12_288
"""Of contents in one answer: three quarters of what a frame of the node protocol may hold."""
MAX_FORMAT = 200
"""Characters of a content's format that are handed on: a server may write a novel there."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All contents, by name, and when that was so."""

    contents: tuple[ContentInfo, ...]
    text: str
    said_at: float

    def is_fresh(self, now: float) -> bool:
        """Return whether it may still be answered."""
        return now - self.said_at < FRESH_SECONDS

    def page(self, question: ListContents, now: float) -> ContentsPage:
        """Return what answers a question."""
        start = bisect.bisect_right(self.contents, question.after, key=lambda info: info.name)
        end, size = start, 0
        while end < len(self.contents):
            size += _size(self.contents[end])
            if size > PAGE_BYTES and end > start:
                break
            end += 1
        return ContentsPage(
            request=question.request, hops=question.hops, contents=self.contents[start:end],
            more=end < len(self.contents), age_ms=max(0, round((now - self.said_at) * 1000)), text=self.text,
        )  # fmt: skip


@dataclass(slots=True)
class _Fetch:
    """A question that this node has handed on, and what has come of it."""

    question: ListContents
    asker: ConnectionId
    source: Source
    until: float
    candidates: list[tuple[str, float]]  # neighbours still to be asked, and their round trips in ms
    asked: str = ""  # who is asked now
    turn_until: float = 0.0  # when the next one is asked
    after: str = ""  # the last name of the last page that has come
    contents: list[ContentInfo] = field(default_factory=list)
    why: Miss | None = None  # the last neighbour's


class Listings:
    """One node's list of contents. Told every event, it takes in what concerns it.

    Times are monotonic seconds.
    """

    def __init__(
        self, me: Identity, root: Root, neighbours: Neighbours, viewers: Callable[[], Mapping[str, int]]
    ) -> None:
        """Where this node is a rendezvous point, `root` knows the servers, `viewers` who watches what."""
        self._me, self._root, self._neighbours, self._viewers = me, root, neighbours, viewers
        self._known: Listing | None = None
        self._fetches: dict[bytes, _Fetch] = {}
        self._places = Shares(MAX_QUESTIONS)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in what happened; return what is to be done for who wants the list."""
        match event:
            case ListReceived():
                return self._on_asked(event, now)
            case Answered(neighbour, ContentsPage() as page):
                return self._on_page(neighbour, page, now)
            case Answered(neighbour, Miss() as answer) if answer.request in self._fetches:
                return self._on_no(neighbour, answer, now)
            case Unasked(neighbour, request, text) if request in self._fetches:
                return self._on_no(neighbour, _miss(self._fetches[request].question, text=text), now)
            case ConnectionGone(connection):
                return self._on_asker_gone(connection)
            case TimePassed():
                return self._on_time(now)
        return []

    def _on_asked(self, asked: ListReceived, now: float) -> list[Action]:
        question = asked.question
        known = self._fresh(now)
        if known is not None:
            return [Reply(asked.connection, known.page(question, now))]
        if question.request in self._fetches:
            return [Reply(asked.connection, _miss(question, MissReason.DUPLICATE))]
        if question.hops >= MAX_HOPS:
            return [Reply(asked.connection, _miss(question, MissReason.DEADLINE, f"{MAX_HOPS} hops"))]
        if not self._places.take(asked.source):
            return [Reply(asked.connection, _miss(question, MissReason.BUSY, "too many ask for the list"))]
        until = now + min(question.remaining_ms, MAX_TIME_MS) / 1000
        fetch = _Fetch(question, asked.connection, asked.source, until, self._candidates(question.sender))
        self._fetches[question.request] = fetch
        return self._ask_next(fetch, now)

    def _fresh(self, now: float) -> Listing | None:
        if self._known is not None and self._known.is_fresh(now):
            return self._known
        if self._root.is_rendezvous:
            servers, viewers = self._root.servers, self._viewers()
            counted = (replace(info, viewers=viewers.get(info.name, 0)) for info in servers.listed())
            self._known = _listing(counted, servers.doubts(now), now)
            return self._known
        return None

    def _candidates(self, sender: Identity) -> list[tuple[str, float]]:
        ranked = self._neighbours.nearest_to_rendezvous()
        return [(name, round_trip) for name, round_trip in ranked if Identity.node(name) != sender]

    # Asking

    def _ask_next(self, fetch: _Fetch, now: float) -> list[Action]:
        """Ask the next neighbour for what is still missing, or give up."""
        while fetch.candidates and fetch.until > now:
            fetch.asked, round_trip_ms = fetch.candidates.pop(0)
            left = fetch.until - now
            share = left / 2 if fetch.candidates else left
            fetch.turn_until = now + share
            remaining = round(share * 1000) - max(LEAST_TIME_MS, round(2 * round_trip_ms))
            if remaining >= LEAST_TIME_MS:
                return [AskList(fetch.asked, self._onward(fetch, remaining))]
        late = _miss(fetch.question, MissReason.DEADLINE, "no neighbour has the list")
        return self._end(fetch, fetch.why or late)

    def _onward(self, fetch: _Fetch, remaining_ms: int) -> ListContents:
        question = fetch.question
        return replace(
            question, sender=self._me, source=None, hops=question.hops + 1,
            remaining_ms=remaining_ms, after=fetch.after,
        )  # fmt: skip

    def _on_page(self, neighbour: str, page: ContentsPage, now: float) -> list[Action]:
        fetch = self._fetches.get(page.request)
        if fetch is None or fetch.asked != neighbour:
            return []
        news = [info for info in page.contents if info.name > fetch.after]
        fetch.contents += news
        if page.more and news and len(fetch.contents) < MAX_LISTED:
            fetch.after = news[-1].name
            fetch.candidates.insert(0, (neighbour, 0.0))
            return self._ask_next(fetch, now)
        text = page.text or (f"only the first {MAX_LISTED} contents" if page.more else "")
        self._known = _listing(fetch.contents, text, now - min(page.age_ms / 1000, FRESH_SECONDS))
        return self._end(fetch, self._known.page(fetch.question, now))

    def _on_no(self, neighbour: str, answer: Miss, now: float) -> list[Action]:
        fetch = self._fetches[answer.request]
        if fetch.asked != neighbour:
            return []
        fetch.why = answer
        return self._ask_next(fetch, now)

    def _on_time(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for fetch in [fetch for fetch in self._fetches.values() if fetch.turn_until <= now]:
            text = (
                f"{fetch.asked} does not answer the question for contents: it may be older than this version"
            )
            actions.append(CancelAsks(fetch.question.request, (fetch.asked,)))
            fetch.why = _miss(fetch.question, MissReason.DEADLINE, text)
            actions += self._ask_next(fetch, now)
        return actions

    def _on_asker_gone(self, connection: ConnectionId) -> list[Action]:
        gone = [fetch for fetch in self._fetches.values() if fetch.asker == connection]
        for fetch in gone:
            self._forget(fetch)
        return [CancelAsks(fetch.question.request, (fetch.asked,)) for fetch in gone]

    def _end(self, fetch: _Fetch, answer: ContentsPage | Miss) -> list[Action]:
        self._forget(fetch)
        own = replace(answer, request=fetch.question.request, hops=fetch.question.hops)
        return [Reply(fetch.asker, own)]

    def _forget(self, fetch: _Fetch) -> None:
        del self._fetches[fetch.question.request]
        self._places.give_back(fetch.source)


def _listing(contents: Iterable[ContentInfo], text: str, said_at: float) -> Listing:
    by_name: Mapping[str, ContentInfo] = {info.name: info for info in contents}
    handed_on = [
        replace(by_name[name], digest=b"", running=(), format=by_name[name].format[:MAX_FORMAT])
        for name in sorted(by_name)[:MAX_LISTED]
    ]
    return Listing(tuple(handed_on), text, said_at)


def _size(info: ContentInfo) -> int:
    writer = Writer()
    info.write(writer)
    return len(writer.data()) + 3  # its type and length


def _miss(question: ListContents, reason: MissReason = MissReason.CUT, text: str = "") -> Miss:
    return Miss(request=question.request, hops=question.hops, content="", reason=reason, text=text)
