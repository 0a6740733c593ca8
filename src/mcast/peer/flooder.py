"""The neighbours of this process, by name: floods go out over them, subscriptions begin on them."""

import logging
from collections.abc import Mapping

from mcast.net.connection import Connection
from mcast.net.handshake import Credentials
from mcast.net.threads import NoThreadError, OnCrash, stop_together
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Ask, AskList
from mcast.overlay.events import Unasked
from mcast.peer.decider import Post
from mcast.peer.neighbour import DEFAULT_TIMING, FURTHER_TIMING, FlooderTiming, Neighbour
from mcast.wire.node import RequestId

logger = logging.getLogger(__name__)


class Flooder:
    """All neighbours, by name."""

    def __init__(
        self, watcher: Watcher, post: Post, on_crash: OnCrash, timing: FlooderTiming = DEFAULT_TIMING,
        *, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        self._watcher, self._post, self._on_crash, self._timing = watcher, post, on_crash, timing
        self.credentials = credentials
        """What this process shows to the nodes that it connects to."""
        # Both are replaced as a whole and never changed, as they are read by other threads than the one
        # that calls update(), and the decider's, which alone calls meet().
        self._neighbours: dict[str, Neighbour] = {}
        self._met: dict[str, Neighbour] = {}

    def update(self, addresses: Mapping[str, str]) -> None:
        """Take in who the neighbours are, and the address each is reached at.

        Waits for the threads of those that are no neighbours any more: not for the decider's thread.
        """
        before = self._neighbours
        kept = {name: known for name, known in before.items() if addresses.get(name) == known.address}
        self._replace(
            {
                name: kept.get(name) or self._make(name, address, self._timing)
                for name, address in addresses.items()
            }
        )

    def meet(self, addresses: Mapping[str, str]) -> list[Neighbour]:
        """Let these be asked, too, by their names, and none of those who were met before.

        Never waits. Who gets no thread is left out. Returns who is not to be asked any more: the caller sees
        to it that each is stopped.
        """
        before = self._met
        kept = {name: known for name, known in before.items() if addresses.get(name) == known.address}
        met: dict[str, Neighbour] = {}
        for name, address in addresses.items():
            try:
                met[name] = kept.get(name) or self._make(name, address, FURTHER_TIMING)
            except NoThreadError as error:
                logger.warning("%s at %s cannot be asked: %s", name, address, error)
        self._met = met
        gone = [neighbour for name, neighbour in before.items() if name not in kept]
        for neighbour in gone:
            neighbour.ask_to_stop()
        return gone

    def _get(self, name: str) -> Neighbour | None:
        return self._neighbours.get(name) or self._met.get(name)

    def _make(self, name: str, address: str, timing: FlooderTiming) -> Neighbour:
        return Neighbour(
            name, address, self._watcher, self._post, self._on_crash, timing, self.credentials
        )  # fmt: skip

    def _replace(self, neighbours: dict[str, Neighbour]) -> None:
        """Put others in force, and stop those that are not among them."""
        before, self._neighbours = self._neighbours, neighbours
        stop_together(each for name, each in before.items() if neighbours.get(name) is not each)

    def ask(self, ask: Ask | AskList) -> None:
        """Hand a DISC or a LIST on to one neighbour. Never waits."""
        question = ask.disc if isinstance(ask, Ask) else ask.question
        if neighbour := self._get(ask.neighbour):
            neighbour.ask(question)
        else:  # the layout has changed since the core was told who can be asked
            self._post(Unasked(ask.neighbour, question.request, f"{ask.neighbour} is no neighbour"))

    def cancel(self, request: RequestId, names: tuple[str, ...]) -> None:
        """Cancel what these neighbours are asked under a request. Never waits."""
        for name in names:
            if neighbour := self._get(name):
                neighbour.cancel(request)

    def take(self, name: str) -> Connection | None:
        """Give an idle connection to a neighbour away for good; return None if there is none."""
        neighbour = self._get(name)
        return neighbour.take() if neighbour else None

    def address(self, name: str) -> str | None:
        """Return where a neighbour is reached; None if there is no such neighbour (any more)."""
        neighbour = self._get(name)
        return neighbour.address if neighbour else None

    def stop(self) -> None:
        """Close all connections and end all threads."""
        met = self.meet({})  # which are asked to stop by that, and end beside those that follow
        self._replace({})
        stop_together(met)
