"""What is served under which URL.

/              the page                /api/overlay          nodes, links, trees, servers, contents
/metrics       for Prometheus          /api/contents         all contents, and how they are streamed
/healthz       200, or 503             /api/events?since=N   the events behind number N
                                       /api/stream           all of that as it changes (Server-Sent Events)
"""

from collections.abc import Callable
from http import HTTPStatus

from mcast.monitoring import documents
from mcast.monitoring.events import EventStore
from mcast.monitoring.metrics import KIND, metrics
from mcast.monitoring.news import News
from mcast.monitoring.view import View
from mcast.web.request import Request, RequestError
from mcast.web.response import EVENTS, Response, json_answer
from mcast.web.static import StaticFiles

ANSWERS_WITHIN = 5.0
"""Seconds in which a rendezvous point must have reported: it does so every second."""
RETRY_SECONDS = 5
_NEVER_STORED = {"Cache-Control": "no-store"}


class Site:
    """Answers requests. Called by many threads."""

    def __init__(self, look: Callable[[], View], events: EventStore, news: News) -> None:
        self._look, self._events, self._news = look, events, news
        self._files = StaticFiles("mcast.web", "mcast.monitoring")

    @property
    def page_bytes(self) -> int:
        """Return what the page weighs, all its files together."""
        return self._files.size

    def answer(self, request: Request) -> Response:
        """Return what is at a URL. Raises RequestError."""
        match request.parts:
            case ("api", "overlay"):
                return json_answer(documents.overlay(self._look()))
            case ("api", "contents"):
                told = documents.catalogue(self._look())
                return json_answer({"version": documents.API_VERSION, "contents": told})
            case ("api", "events"):
                return self._events_since(request)
            case ("api", "stream"):
                return Response(self._news.stream(), EVENTS, headers=_NEVER_STORED)
            case ("metrics",):
                text = metrics(self._look(), self._events.counts())
                return Response(text.encode(), KIND, headers=_NEVER_STORED)
            case ("healthz",):
                return self._health()
        return self._files.answer(request)

    def _events_since(self, request: Request) -> Response:
        since = request.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 19):
            text = "since is the number of an event: 0 for all that is kept"
            raise RequestError(HTTPStatus.BAD_REQUEST, text)
        told = self._events.since(int(since))
        last = told[-1]["number"] if told else self._events.last
        return json_answer(
            {
                "version": documents.API_VERSION,
                "epoch": self._events.epoch,
                "last": last,
                "events": told,
            }
        )

    def _health(self) -> Response:
        view = self._look()
        for name in view.layout.rendezvous:
            status = view.nodes.get(name)
            if status is not None and view.silence(status) <= ANSWERS_WITHIN:
                return Response(f"rendezvous point {name} is up\n".encode(), headers=_NEVER_STORED)
        text = f"no rendezvous point answers (of {', '.join(view.layout.rendezvous)}): is its mcast-node up?"
        raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=RETRY_SECONDS)
