"""A service that is started before its network waits for its addresses, and who has mistyped one is told."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import PATIENCE
from mcast.errors import UnreachableError
from mcast.hostport import HostPort, parse_address
from mcast.roles import own_addresses
from mcast.roles.own_addresses import wait_for_own
from mcast.roles.service_manager import ServiceManager
from roles.service_manager_partner import Manager
from topology.netns import Networks

ELSEWHERE = HostPort("192.0.2.1", 4000)  # TEST-NET-1 (RFC 5737): no machine has it
LAYOUT = 'rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n'


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def told(manager: Manager) -> ServiceManager:
    return ServiceManager(manager.address)


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:4000", "[::1]:4000", ":4000", "[::]:4000", "localhost:4000", "127.0.0.3:0"]
)
def test_an_address_that_is_there_is_not_waited_for(
    address: str, told: ServiceManager, stop: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    assert wait_for_own(told, stop, parse_address(address), None)
    assert caplog.messages == []


def test_on_a_terminal_nobody_waits(stop: threading.Event) -> None:
    assert wait_for_own(ServiceManager(), stop, ELSEWHERE)  # who listens there tells what is wrong


def test_an_address_that_comes_later_is_waited_for_aloud(
    told: ServiceManager, manager: Manager, stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    looks = iter([False, False, True])
    monkeypatch.setattr(own_addresses, "_is_own", lambda _: next(looks))
    monkeypatch.setattr(own_addresses, "LOOK_EACH", 0.001)
    assert wait_for_own(told, stop, ELSEWHERE)
    manager.hear_until("STATUS=waiting: this machine has no address '192.0.2.1'")
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("WARNING", "192.0.2.1:4000: this machine has no address '192.0.2.1': waiting for it"),
        ("INFO", "this machine has 192.0.2.1 now"),
    ]


@pytest.mark.parametrize(
    ("address", "lack"),
    [("192.0.2.1:4000", "has no address '192.0.2.1'"), ("[fe80::1%nope]:4000", "has no interface 'nope'")],
)
def test_who_has_mistyped_an_address_is_told_after_a_while(
    address: str, lack: str, told: ServiceManager, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_addresses, "PATIENCE", 0.1)
    with pytest.raises(UnreachableError, match=f"{lack}, after 0.1 s: check the address"):
        wait_for_own(told, stop, HostPort("127.0.0.1", 4000), parse_address(address))


def test_a_name_server_that_starts_later_is_waited_for_and_an_unknown_name_is_not(
    told: ServiceManager, manager: Manager, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[list[object] | OSError] = iter([
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 4000))],
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    ])  # fmt: skip

    def answer(*_: object, **__: object) -> list[object]:
        if isinstance(given := next(answers), OSError):
            raise given
        return given

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(own_addresses, "LOOK_EACH", 0.001)
    assert wait_for_own(told, stop, HostPort("boot.campus", 4000))
    manager.hear_until("STATUS=waiting: cannot find the host 'boot.campus': Temporary failure")
    assert wait_for_own(
        told, stop, HostPort("boot.campsu", 4000)
    )  # who listens there says that nobody knows it


def test_who_wants_to_go_need_not_wait(told: ServiceManager, stop: threading.Event) -> None:
    threading.Timer(0.1, stop.set).start()
    assert not wait_for_own(told, stop, ELSEWHERE)


@pytest.mark.netns
@pytest.mark.parametrize("address", ["10.77.0.1", "2001:db8:77::1"])  # the second is tentative for a second
def test_a_service_that_is_started_before_its_network_serves_once_that_is_there(
    address: str, manager: Manager, tmp_path: Path
) -> None:
    layout, ipv6 = tmp_path / "layout.toml", ":" in address
    layout.write_text(LAYOUT)
    with Networks() as networks:
        networks.add("head")
        networks.add("hall")
        device, _ = networks.link("head", "10.78.0.1/24", "hall", "10.78.0.2/24")
        listening = str(HostPort(address, 4000))
        with subprocess.Popen(
            networks.inside(
                "head", sys.executable, "-m", "mcast", "bootstrap",
                "--address", listening, "--config", str(layout),
            ),
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NOTIFY_SOCKET": manager.address},
        ) as service:  # fmt: skip
            try:
                before = manager.hear_until(f"STATUS=waiting: this machine has no address '{address}'")
                networks.ip("head", "address", "add", f"{address}/{64 if ipv6 else 24}", "dev", device)
                before += manager.hear_until("READY=1")[:-1]
                assert not [word for word in before if "READY" in word]
                service.terminate()
                assert service.wait(PATIENCE) == 0
                assert service.stderr is not None
                assert f"this machine has no address '{address}'" in service.stderr.read()
            finally:
                service.kill()
