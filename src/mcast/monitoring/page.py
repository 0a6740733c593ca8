"""The overlay's page as a whole: the HTTP service, the site behind it, and the thread that tells news."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from mcast.hostport import HostPort
from mcast.monitoring.events import EventStore
from mcast.monitoring.news import News
from mcast.monitoring.site import Site
from mcast.monitoring.view import View
from mcast.net.threads import OnCrash
from mcast.web.service import Service, Settings


class OverlayPage:
    """Shows an overlay over HTTP, while entered."""

    def __init__(
        self, settings: Settings, look: Callable[[], View], events: EventStore, on_crash: OnCrash
    ) -> None:
        """Listen at once: raise ConfigError if the address cannot be used. Any thread may `look`."""
        self._news = News(look, events, on_crash)
        self._service = Service(settings, Site(look, events, self._news).answer, on_crash)

    def __repr__(self) -> str:
        return f"<OverlayPage {self._service!r}>"

    @property
    def address(self) -> HostPort:
        """Return where it listens."""
        return self._service.address

    def __enter__(self) -> Self:
        self._news.start()
        self._service.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._news.stop()  # first: it ends the endless bodies
        self._service.stop()
