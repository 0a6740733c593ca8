"""The four programs as services: each tells a service manager when it serves, that it lives, and its end."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers import PATIENCE, line_with
from roles.service_manager_partner import Manager

UNUSED = "127.0.0.1:9"  # nobody listens there
LAYOUT = """
rendezvous = "rp"
[nodes.rp]
address = "127.0.0.1:5000"
"""
SERVER = """
[[content]]
name = "test"
source = "testsrc2=size=128x72:rate=5"
format = "lavfi"
"""


class Service:
    """A program that a manager of the test's own has started."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.manager = Manager(str(folder / f"notify-{arguments[0]}"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcast", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={
                **os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                "NOTIFY_SOCKET": self.manager.address, "WATCHDOG_USEC": "1000000",
            },
        )  # fmt: skip

    def port(self) -> int:
        """Wait until it says at which port it listens."""
        return int(self._told_after("listening at ").rpartition(":")[2])

    def url(self) -> str:
        """Wait until it says where it serves HTTP."""
        return "http://" + self._told_after("http://")

    def _told_after(self, words: str) -> str:
        """Return the word that its log tells behind these."""
        line = line_with(words, self._process, self._process.stderr)
        return line.split(words)[1].split()[0]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Return its status, once it has ended."""
        return self._process.wait(PATIENCE)

    def lines(self) -> list[str]:
        """Return what it has said, once it has ended."""
        assert self._process.stderr is not None
        return self._process.stderr.read().splitlines()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self.manager.close()


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Service] = []

    def begin(*arguments: str | Path) -> Service:
        started.append(Service(tmp_path, *map(str, arguments)))
        return started[-1]

    yield begin
    for service in started:
        service.close()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    file = tmp_path / "layout.toml"
    file.write_text(LAYOUT)
    return file


def serves_to_its_end(service: Service) -> list[str]:
    """Follow a service from READY to its end; return what it told before READY."""
    before = service.manager.hear_until("READY=1")
    service.manager.hear_until("WATCHDOG=1")
    service.signal(signal.SIGHUP)
    service.manager.hear_until("RELOADING=1")
    service.manager.hear_until("READY=1")
    service.manager.hear_until("WATCHDOG=1")
    service.signal(signal.SIGTERM)
    service.manager.hear_until("STOPPING=1")
    assert service.end() == 0
    return before


def test_the_bootstrapper_is_ready_when_it_listens_and_names_the_nodes_it_waits_for(
    start: Start, layout: Path
) -> None:
    service = start("bootstrap", "--address", "127.0.0.1:0", "--config", layout)
    assert serves_to_its_end(service) == ["READY=1\nSTATUS=0 of 1 nodes are up; waiting for rp"]


def test_a_node_is_ready_when_the_bootstrapper_has_told_it_its_place(start: Start, layout: Path) -> None:
    bootstrapper = start("bootstrap", "--address", "127.0.0.1:0", "--config", layout)
    node = start(
        "node", "--bootstrap", f"127.0.0.1:{bootstrapper.port()}", "--name", "rp", "--address", "127.0.0.1:0"
    )
    node.manager.hear_until("READY=1\nSTATUS=rendezvous point rp")
    bootstrapper.manager.hear_until("STATUS=1 of 1 nodes are up")
    bootstrapper.signal(signal.SIGTERM)
    node.manager.hear_until("STATUS=rendezvous point rp; waiting for the bootstrapper at 127.0.0.1:")
    node.manager.hear_until("WATCHDOG=1")  # it lives without


def test_a_key_that_has_changed_is_taken_at_sighup_without_a_restart(
    start: Start, layout: Path, tmp_path: Path
) -> None:
    old, key, new = tmp_path / "old", tmp_path / "key", tmp_path / "new"
    for file, digit in ((old, "0"), (key, "0"), (new, "1")):
        file.write_text(digit * 64)
        file.chmod(0o600)
    bootstrapper = start("bootstrap", "--address", "127.0.0.1:0", "--config", layout, "--key-file", key)
    place = (f"127.0.0.1:{bootstrapper.port()}", "--name", "rp", "--address", "127.0.0.1:0")
    newer = start("node", "--bootstrap", *place, "--key-file", new)
    newer.manager.hear_until("the key is not that of this mcast-bootstrap")
    key.write_text(old.read_text() + "\n" + new.read_text())
    bootstrapper.signal(signal.SIGHUP)
    bootstrapper.manager.hear_until("RELOADING=1")
    newer.manager.hear_until("READY=1")


def status_with(key: str, url: str) -> int:
    """Return what a page answers who shows a key."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("program", ["bootstrap", "client"])
def test_the_key_of_a_page_is_changed_at_sighup_without_a_restart(
    start: Start, layout: Path, tmp_path: Path, program: str
) -> None:
    key, old, new = tmp_path / "key", "0" * 16, "1" * 16
    key.write_text(old)
    key.chmod(0o600)
    own = {"bootstrap": ("--address", "127.0.0.1:0", "--config", layout), "client": ("--neighbour", UNUSED)}
    service = start(program, *own[program], "--http", "127.0.0.1:0", "--http-key-file", key)
    url = service.url()
    assert (status_with(old, url), status_with(new, url)) == (200, 401)
    key.write_text(new)
    service.signal(signal.SIGHUP)
    service.manager.hear_until("RELOADING=1")
    service.manager.hear_until("READY=1")
    assert (status_with(old, url), status_with(new, url)) == (401, 200)


def test_a_node_that_waits_for_its_bootstrapper_is_not_ready_and_says_so(start: Start) -> None:
    node = start("node", "--bootstrap", UNUSED, "--name", "n1")
    heard = node.manager.hear_until("STATUS=waiting for the bootstrapper at 127.0.0.1:9: ")
    assert not [word for word in heard if "READY" in word]
    node.signal(signal.SIGTERM)
    assert "READY=1" not in "".join(node.manager.hear_until("STOPPING=1"))


@pytest.mark.ffmpeg
def test_a_server_is_ready_when_it_listens_and_tells_how_many_contents_are(
    start: Start, tmp_path: Path
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(SERVER)
    server = start("server", "--address", "127.0.0.1:0", "--config", config, "--cache", tmp_path / "cache")
    *_, ready = serves_to_its_end(server)
    assert ready.endswith("STATUS=1 of 1 contents are ready")


@pytest.mark.ffmpeg
def test_each_line_has_the_priority_that_the_journal_is_to_give_it(start: Start, tmp_path: Path) -> None:
    config, journal = tmp_path / "server.toml", ("--log-format", "journald")
    config.write_text(SERVER)
    server = start("server", "--address", "127.0.0.1:0", "--config", config, *journal)
    server.manager.hear_until("READY=1")
    config.write_text("colour = 1\n" + SERVER)
    server.signal(signal.SIGHUP)
    server.manager.hear_until("RELOADING=1")
    server.manager.hear_until("READY=1")
    server.signal(signal.SIGTERM)
    lines = server.lines()
    said = {
        "<4>server: ": "whoever may ask is believed",
        "<6>server: ": "serving test at 127.0.0.1:",
        "<3>server: ": "SIGHUP: the last good file stays in use",
    }
    assert all(any(line.startswith(head) and text in line for line in lines) for head, text in said.items())
    assert all(line.startswith(tuple(said)) for line in lines)
    failing = start("bootstrap", "--address", "127.0.0.1:0", "--config", config, *journal)
    (last,) = failing.lines()
    assert last.startswith("<3>mcast-bootstrap: error: ")
    assert "colour" in last


def test_a_gateway_is_ready_when_it_serves_http(start: Start) -> None:
    gateway = start("client", "--neighbour", UNUSED, "--http", "127.0.0.1:0")
    *_, ready = serves_to_its_end(gateway)
    assert "STATUS=serving http://127.0.0.1:" in ready


def test_a_client_that_records_says_what_it_waits_for(start: Start, tmp_path: Path) -> None:
    client = start("client", "--neighbour", UNUSED, "--content", "film", "--output", tmp_path / "x.ts")
    client.manager.hear_until("STATUS=film: waiting: ")
    client.signal(signal.SIGTERM)
    client.manager.hear_until("STOPPING=1")
