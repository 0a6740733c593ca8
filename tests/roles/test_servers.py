"""The rendezvous point's view of servers that answer, delay, fall silent, vanish, or talk nonsense."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.deadline import Deadline
from mcast.net.listener import Listener
from mcast.net.watcher import Watcher
from mcast.roles.node import servers as servers_module
from mcast.roles.node.servers import Servers
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
            message = connection.receive(Deadline(10))
            if isinstance(message, Wake):
                self.lists.append(connection)
                if self.answer_list:
                    self.tell(*self.names)
            elif isinstance(message, Ping) and self.answer_pings:
                self._ended.wait(self.delay)
                connection.send(self.strange or Ping(message.nonce, reply=True))


Start = Callable[..., Servers]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers_module, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(servers_module, "LAST_RETRY", 0.04)
    monkeypatch.setattr(servers_module, "PING_INTERVAL", 0.01)


@pytest.fixture
def changed() -> Recorder:
    return Recorder()


@pytest.fixture
def start(watcher: Watcher, changed: Recorder, crash: Recorder) -> Iterator[Start]:
    started: list[Servers] = []

    def start(*fakes: FakeServer) -> Servers:
        servers = Servers(watcher, changed, crash)
        servers.update([fake.address for fake in fakes])
        started.append(servers)
        return servers

    yield start
    for servers in started:
        servers.stop()


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


def known(servers: Servers) -> frozenset[str]:
    return servers.offers()[0]


def test_the_lists_of_all_servers_are_known_and_kept_up_to_date(start: Start, make: Make) -> None:
    one, other = make("earth", "studio"), make("earth", "sea")
    servers = start(one, other)
    wait_until(lambda: servers.offers() == (frozenset({"earth", "studio", "sea"}), ""))
    one.tell("earth")
    wait_until(lambda: known(servers) == {"earth", "sea"})
    assert sorted(servers.ranking("earth")) == sorted([one.address, other.address])
    assert servers.ranking("sea") == [other.address]
    assert servers.ranking("nothing") == []


def test_the_server_that_delays_is_the_second_choice_and_the_figures_say_why(
    start: Start, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    slow, quick = make("earth", delay=0.03), make("earth")
    servers = start(slow, quick)
    wait_until(lambda: len(servers.figures()) == 2 and known(servers))
    wait_until(lambda: servers.ranking("earth") == [quick.address, slow.address])
    figures = servers.figures()
    assert figures[slow.address].latency_us >= 30_000 > figures[quick.address].latency_us
    assert f"[earth] server choice 1: {quick.address}: delay " in caplog.text
    assert f"[earth] server choice 2: {slow.address}: delay " in caplog.text


def test_a_server_that_becomes_slow_is_left_for_the_next_stream(start: Start, make: Make) -> None:
    one, other = make("earth"), make("earth", delay=0.01)
    servers = start(one, other)
    wait_until(lambda: servers.ranking("earth") == [one.address, other.address])
    one.delay = 0.05
    wait_until(lambda: servers.ranking("earth") == [other.address, one.address])


def test_a_server_that_vanishes_has_no_figures_and_no_contents_and_comes_back(
    start: Start, make: Make, changed: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    server = make("earth")
    servers = start(server)
    wait_until(lambda: known(servers) and servers.figures())
    changes = len(changed)
    server.answer_list = False
    for connection in server.lists:
        connection.close()
    wait_until(lambda: not known(servers))
    assert len(changed) > changes
    assert "server does not answer" in caplog.text
    server.answer_list = True
    for connection in server.lists:
        connection.close()
    wait_until(lambda: known(servers) == {"earth"} and servers.figures())
    server.stop()
    wait_until(lambda: servers.figures() == {} and servers.offers() == (frozenset(), ""))


def test_a_server_that_has_not_answered_yet_makes_the_list_doubtful_for_a_while(
    watcher: Watcher, crash: Recorder, changed: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers_module, "PING_TIMEOUT", 0.05)
    with silent_address() as address:
        servers = Servers(watcher, changed, crash)
        servers.update([address])
        assert servers.offers() == (frozenset(), f"server {address} has not answered yet")
        monkeypatch.setattr(servers_module, "BENEFIT_OF_DOUBT", 0.1)
        wait_until(lambda: servers.offers() == (frozenset(), ""))
        told = len(changed)
        changed.wait_for(told + 1)  # and whoever asks offers() only then hears of it, too
        servers.stop()


def test_a_server_that_tells_no_list_counts_as_gone(
    start: Start, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(servers_module, "LIST_TIMEOUT", 0.05)
    server = make("earth")
    server.answer_list = False
    start(server)
    wait_until(lambda: "no list within" in caplog.text)


def test_a_server_that_answers_no_ping_counts_as_gone(
    start: Start, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers_module, "PING_TIMEOUT", 0.1)
    server = make("earth")
    servers = start(server)
    wait_until(lambda: known(servers) and servers.figures())
    server.answer_pings = False
    wait_until(lambda: servers.figures() == {} and not known(servers))


@pytest.mark.parametrize("nonsense", [Ping(99, reply=True), Ping(0), ServerStop(StopReason.END), Wake()])
def test_nonsense_instead_of_an_answer_ends_the_connection(
    start: Start, make: Make, nonsense: Message, caplog: pytest.LogCaptureFixture
) -> None:
    server = make("earth")
    server.strange = nonsense
    start(server)
    wait_until(lambda: "instead of the answer to PING 0" in caplog.text)


def test_nonsense_instead_of_a_list_ends_the_connection(
    start: Start, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server = make("earth")
    servers = start(server)
    wait_until(lambda: known(servers))
    server.lists[-1].send(Ping(1))
    wait_until(lambda: "sent Ping instead of its list" in caplog.text)
    wait_until(lambda: len(server.lists) > 1 and known(servers))


def test_stop_does_not_wait_for_a_server_that_is_silent(
    watcher: Watcher, crash: Recorder, make: Make
) -> None:
    silent = make()
    silent.answer_pings = False
    with silent_address() as unreachable:
        servers = Servers(watcher, Recorder(), crash)
        servers.update([silent.address, unreachable])
        wait_until(lambda: silent.lists)
        began = time.monotonic()
        servers.stop()
        assert time.monotonic() - began < 1.0
    assert len(watcher) == 0


def test_stop_at_any_moment_of_a_start_ends_the_threads(
    watcher: Watcher, crash: Recorder, make: Make
) -> None:
    silent = make("earth")
    silent.answer_pings = False
    for _ in range(30):
        servers, began = Servers(watcher, Recorder(), crash), time.monotonic()
        servers.update([silent.address])
        servers.stop()
        assert time.monotonic() - began < 2.0


def test_the_layout_decides_which_servers_are_asked(start: Start, make: Make) -> None:
    one, other = make("earth"), make("sea")
    servers = start(one)
    servers.update([one.address, one.address, other.address])
    wait_until(lambda: known(servers) == {"earth", "sea"})
    servers.update([other.address])
    assert known(servers) == {"sea"}
    assert servers.ranking("earth") == []


def test_a_new_layout_may_come_in_while_the_decider_chooses(start: Start, make: Make) -> None:
    one, other = make("earth"), make("earth")
    servers = start(one)
    done = threading.Event()

    def change() -> None:
        for addresses in [[], [one.address], [one.address, other.address], [other.address]] * 5:
            servers.update(addresses)
        done.set()

    changing = threading.Thread(target=change)
    changing.start()
    while not done.is_set():
        servers.ranking("earth")
        servers.offers()
        servers.figures()
    changing.join()
