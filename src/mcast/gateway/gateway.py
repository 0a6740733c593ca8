"""The gateway as a whole: the HTTP service, the site behind it, and the channels that it shows."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from mcast.client import Subscription
from mcast.client.directory import Directory
from mcast.gateway.channels import DEFAULT_LINGER, Channels
from mcast.gateway.contents import KnownContents
from mcast.gateway.site import Site
from mcast.hostport import HostPort
from mcast.net.threads import OnCrash
from mcast.web.service import Service, Settings


class Gateway:
    """Serves every content of an overlay over HTTP, while entered."""

    def __init__(
        self,
        settings: Settings,
        subscribe: Callable[[str], Subscription],
        ask: Callable[[float], Directory],
        on_crash: OnCrash,
        *,
        linger: float = DEFAULT_LINGER,
    ) -> None:
        """Listen at once: raise ConfigError if the address cannot be used.

        `subscribe` makes a subscription of a content, not entered yet; `ask` asks, for so many seconds, which
        contents there are.
        """
        known = KnownContents(ask)
        self._channels = Channels(subscribe, known, on_crash, linger)
        self._site = Site(self._channels, known, lambda: self.cut)
        self._service = Service(settings, self._site.answer, on_crash)

    def __repr__(self) -> str:
        return f"<Gateway {self._service!r}>"

    @property
    def address(self) -> HostPort:
        """Return where it listens."""
        return self._service.address

    @property
    def cut(self) -> int:
        """Return how many viewers were cut because they did not take what they had asked for."""
        return self._service.counters["http_cut"]

    def call(self, function: Callable[[], None]) -> None:
        """Have the thread that looks after the channels do something. Never waits."""
        self._channels.call(function)

    def __enter__(self) -> Self:
        self._channels.__enter__()
        self._service.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channels.stop()  # first: who waits for a content to begin is waked by that
        self._service.stop()
