"""Relays in this process: one feedback thread, and a few forwarders, carry them all."""

from dataclasses import dataclass
from time import process_time

from mcast.media.carriers import Carriers
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarder import FORWARD_THREADS, Forwarder
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.ports import MediaPorts
from mcast.roles.node.content_relay import CarrierUse, Listeners, RelayHost
from mcast.roles.node.relay import Relay
from mcast.roles.pulse import Call
from mcast.wire.position import Position


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """How a node carries its contents."""

    cname: str  # names this node in RTCP
    ports: MediaPorts
    forward_threads: int = FORWARD_THREADS  # the most of a process
    gather: float = 0.0  # seconds for which each train may be held, to be sent on with others
    max_bit_rate: int = 0  # that all children of a process get together; 0: without a bound
    timing: Timing = DEFAULT_TIMING


class OwnProcess(RelayHost):
    """Owns the threads that carry relays here. `open` is for one thread at a time."""

    def __init__(self, settings: MediaSettings, listeners: Listeners) -> None:
        self._settings, self._listeners = settings, listeners
        on_crash = listeners.on_crash
        self._reader = FeedbackReader(on_crash, max_bit_rate=settings.max_bit_rate)
        self._forwarders = Carriers(
            lambda number: Forwarder(f"forward-{number}", on_crash), settings.forward_threads
        )

    def start(self) -> None:
        self._reader.start()

    def open(self, content: str, position: Position, start: int | None) -> Relay:
        settings = self._settings
        return Relay(
            content, position, self._reader, self._forwarders.pick(), settings.ports, settings.cname,
            self._listeners, start=start, gather=settings.gather, timing=settings.timing,
        )  # fmt: skip

    def uses(self) -> tuple[CarrierUse, ...]:
        return (CarrierUse(process_time(), None),)

    def others_load(self) -> tuple[float, int]:
        return 0.0, 0

    @property
    def vital_threads(self) -> tuple[Call, ...]:
        return (self._reader.call,)

    def stop(self) -> None:
        self._forwarders.stop()
        self._reader.stop()
