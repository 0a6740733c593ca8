"""What is told of servers that answer, delay, fall silent, vanish, or talk nonsense."""

import threading
from collections.abc import Callable, Iterator

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.deadline import Deadline
from mcast.net.listener import Listener
from mcast.net.watcher import Watcher
from mcast.overlay.events import Event, ServerListed, ServerLost, ServerMeasured
from mcast.roles.node.servers import MonitorTiming, ServerMonitors
from mcast.wire.frame import Message
from mcast.wire.node import StopReason
from mcast.wire.server import ContentInfo, Contents, Ping, ServerStop, Wake
from roles.partners import silent_address


class FakeServer:
    """Tells its list and answers PINGs, both as the test wants."""

    def __init__(self, *names: str, delay: float = 0.0) -> None:
        self.names, self.delay = names, delay
        self.answer_pings = self.answer_list = True
        self.strange: Message | None = None  # sent instead of the answer to a PING
        self.lists: list[Connection] = []
        self._ended = threading.Event()
        self._listener = Listener(HostPort("127.0.0.1", 0), self._serve, Recorder())
        self._listener.start()
        self.address = str(self._listener.address)

    def tell(self, *names: str) -> None:
        for connection in [each for each in self.lists if not each.closed]:
            connection.send(Contents(tuple(ContentInfo(name=name) for name in names)))

    def stop(self) -> None:
        self._ended.set()
        self._listener.stop()

    def _serve(self, connection: Connection) -> None:
        while True:
            self.answer(connection, connection.receive(Deadline(PATIENCE)))

    def answer(self, connection: Connection, message: Message) -> None:
        if isinstance(message, Wake):
            self.lists.append(connection)
            if self.answer_list:
                self.tell(*self.names)
        elif isinstance(message, Ping) and self.answer_pings:
            self._ended.wait(self.delay)
            connection.send(self.strange or Ping(message.nonce, reply=True))


QUICK = MonitorTiming(ping_interval=0.01, first_retry=0.02, last_retry=0.04)


class Told:
    """Takes what the monitors post, and knows what follows from it for a server."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, server: FakeServer | str) -> list[Event]:
        address = server if isinstance(server, str) else server.address
        told = list(self.events)
        return [
            e
            for e in told
            if isinstance(e, ServerListed | ServerMeasured | ServerLost) and e.server == address
        ]

    def has(self, server: FakeServer) -> set[str]:
        """Return the names of the newest list; none if the server was lost since."""
        names: set[str] = set()
        for event in self.of(server):
            if isinstance(event, ServerListed):
                names = {info.name for info in event.contents}
            elif isinstance(event, ServerLost):
                names = set()
        return names

    def delays(self, server: FakeServer) -> list[int]:
        return [event.delay_us for event in self.of(server) if isinstance(event, ServerMeasured)]

    def losses(self, server: FakeServer | str) -> list[str]:
        return [event.text for event in self.of(server) if isinstance(event, ServerLost)]


@pytest.fixture
def told() -> Told:
    return Told()


Start = Callable[..., ServerMonitors]


@pytest.fixture
def start(watcher: Watcher, told: Told, crash: Recorder) -> Iterator[Start]:
    started: list[ServerMonitors] = []

    def start(*fakes: FakeServer | str, timing: MonitorTiming = QUICK) -> ServerMonitors:
        monitors = ServerMonitors(watcher, told, crash, timing)
        monitors.update([fake if isinstance(fake, str) else fake.address for fake in fakes])
        started.append(monitors)
        return monitors

    yield start
    for monitors in started:
        monitors.stop()


@pytest.fixture
def make() -> Iterator[Callable[..., FakeServer]]:
    made: list[FakeServer] = []

    def make(*names: str, delay: float = 0.0) -> FakeServer:
        made.append(FakeServer(*names, delay=delay))
        return made[-1]

    yield make
    for fake in made:
        fake.stop()


Make = Callable[..., FakeServer]


def test_the_lists_of_all_servers_are_told_and_what_changes_in_them(
    start: Start, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one, other = make("earth", "studio"), make("earth", "sea")
    start(one, other)
    wait_until(lambda: (told.has(one), told.has(other)) == ({"earth", "studio"}, {"earth", "sea"}))
    one.tell("earth")
    one.tell("earth")
    wait_until(lambda: told.has(one) == {"earth"})
    wait_until(lambda: f"[{one.address}] contents: earth" in caplog.messages)
    listed = [record for record in caplog.records if getattr(record, "event", "") == "server_listed"]
    assert len(listed) == 3  # the same list again is no news


def test_measurements_tell_how_long_an_answer_took(start: Start, make: Make, told: Told) -> None:
    slow, quick = make("earth", delay=0.03), make("earth")
    start(slow, quick)
    wait_until(lambda: len(told.delays(slow)) > 2 and len(told.delays(quick)) > 2)
    assert min(told.delays(slow)) >= 30_000
    assert min(told.delays(quick)) < min(told.delays(slow))


def test_a_server_that_vanishes_is_told_and_that_it_comes_back(
    start: Start, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    server = make("earth")
    start(server)
    wait_until(lambda: told.has(server) and told.delays(server))
    server.answer_list = False
    for connection in server.lists:
        connection.close()
    wait_until(lambda: told.losses(server) and not told.has(server))
    wait_until(lambda: "server does not answer" in caplog.text, "the line that follows the word")
    server.answer_list = True
    for connection in server.lists:
        connection.close()
    wait_until(lambda: told.has(server) == {"earth"})


def test_an_outage_is_told_once_however_often_it_is_tried(start: Start, make: Make, told: Told) -> None:
    server, other = make("earth"), make("sea")
    start(server, other)
    wait_until(lambda: told.has(server) and told.delays(server))
    server.stop()
    wait_until(lambda: told.losses(server))
    seen = len(told.delays(other))
    wait_until(lambda: len(told.delays(other)) > seen + 20)  # there is time for some attempts
    assert len(told.losses(server)) == 1


def test_a_server_that_never_answered_is_told_as_lost(start: Start, told: Told) -> None:
    with silent_address() as address:
        monitors = start(address, timing=MonitorTiming(ping_timeout=0.05, first_retry=0.02, last_retry=0.04))
        wait_until(lambda: told.losses(address))
        assert "nobody answers" in told.losses(address)[0]
        monitors.stop()


def test_a_server_that_tells_no_list_counts_as_lost(start: Start, make: Make, told: Told) -> None:
    server = make("earth")
    server.answer_list = False
    start(server, timing=MonitorTiming(ping_interval=0.01, list_timeout=0.05, first_retry=0.02))
    wait_until(lambda: told.losses(server))
    assert "no list within" in told.losses(server)[0]


def test_a_server_that_answers_no_ping_counts_as_lost(start: Start, make: Make, told: Told) -> None:
    server = make("earth")
    start(server, timing=MonitorTiming(ping_interval=0.01, ping_timeout=0.1, first_retry=0.02))
    wait_until(lambda: told.has(server) and told.delays(server))
    server.answer_pings = False
    wait_until(lambda: told.losses(server) and not told.has(server))


@pytest.mark.parametrize("nonsense", [Ping(99, reply=True), Ping(0), ServerStop(StopReason.END), Wake()])
def test_nonsense_instead_of_an_answer_ends_the_connection(
    start: Start, make: Make, told: Told, nonsense: Message
) -> None:
    server = make("earth")
    server.strange = nonsense
    start(server)
    wait_until(lambda: told.losses(server))
    assert "instead of the answer to PING 0" in told.losses(server)[0]


def test_nonsense_instead_of_a_list_ends_the_connection(
    start: Start, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    server = make("earth")
    start(server)
    wait_until(lambda: told.has(server))
    server.lists[-1].send(Ping(1))
    wait_until(lambda: "sent Ping instead of its list" in caplog.text)
    wait_until(lambda: len(server.lists) > 1 and told.has(server))


def test_stop_does_not_wait_for_a_server_that_is_silent(
    start: Start, make: Make, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    silent = make()
    silent.answer_pings = False
    with silent_address() as unreachable:
        monitors = start(silent, unreachable, timing=MonitorTiming(first_retry=60.0))
        wait_until(lambda: silent.lists)
        monitors.stop()
    assert "has not ended" not in caplog.text
    assert len(watcher) == 0


def test_stop_at_any_moment_of_a_start_ends_the_threads_and_nothing_is_told_behind_it(
    start: Start, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    silent = make("earth")
    silent.answer_pings = False
    for _ in range(30):
        start(silent).stop()
    known = len(told.of(silent))
    other = make("sea")
    start(other)
    wait_until(lambda: len(told.delays(other)) > 3)
    assert len(told.of(silent)) == known
    assert told.losses(silent) == []
    assert "has not ended" not in caplog.text


def test_the_layout_decides_which_servers_are_asked(start: Start, make: Make, told: Told) -> None:
    one, other = make("earth"), make("sea")
    monitors = start(one)
    monitors.update([one.address, one.address, other.address])
    wait_until(lambda: told.has(one) and told.has(other))
    monitors.update([other.address])
    known = len(told.of(one))
    seen = len(told.delays(other))
    wait_until(lambda: len(told.delays(other)) > seen + 3)
    assert len(told.of(one)) == known
