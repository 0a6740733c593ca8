"""What the service manager hears: from the class, and from each of the four programs as a process."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import PATIENCE
from mcast.roles.service_manager import ServiceManager
from roles.service_manager_partner import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@mcast-test-{tmp_path}"
    made = Manager(address)
    yield made
    made.close()


def test_a_program_tells_what_it_waits_for_that_it_serves_and_that_it_ends(manager: Manager) -> None:
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address})
    told.status("waiting for the bootstrapper")
    told.ready("node n1")
    told.stopping()
    assert [manager.hear() for _ in range(3)] == [
        "STATUS=waiting for the bootstrapper",
        "READY=1\nSTATUS=node n1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_the_service_manager_is_told_nothing_twice(manager: Manager) -> None:
    told = ServiceManager(manager.address)
    told.ready("serving")
    told.status("serving")
    told.ready("as before")  # it serves anew: ready is told once
    told.stopping()
    told.stopping()
    told.status("a late word")
    heard = manager.hear_until("STOPPING=1")
    assert heard == ["READY=1\nSTATUS=serving", "STATUS=as before", "STOPPING=1\nSTATUS=stopping"]
    assert manager.hears_nothing()


def test_a_reload_is_told_with_its_time_and_its_end(manager: Manager) -> None:
    told = ServiceManager(manager.address)
    with told.reloading():  # before it serves: that would tell that it serves
        pass
    assert manager.hears_nothing()
    told.ready()
    before = time.monotonic_ns() // 1000
    with told.reloading():
        pass
    _, begun, done = manager.hear(), manager.hear(), manager.hear()
    word, _, moment = begun.partition("\nMONOTONIC_USEC=")
    assert (word, done) == ("RELOADING=1", "READY=1")
    assert before <= int(moment) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line_whatever_stands_in_it(manager: Manager) -> None:
    ServiceManager(manager.address).status("waiting:\nREADY=1")
    assert manager.hear() == "STATUS=waiting: READY=1"


def test_child_processes_do_not_find_the_manager() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "HOME": "/",
    }  # fmt: skip
    ServiceManager.from_environment(environment)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environment", "beat"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 5_000}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # meant for another process
    ],
)
def test_signs_of_life_are_wanted_if_the_manager_says_so(
    environment: dict[str, str], beat: float | None
) -> None:
    assert ServiceManager.from_environment(dict(environment)).beat == beat


@pytest.mark.parametrize("address", ["", "/there/is/no/such/socket", "vsock:2:1234"])
def test_a_manager_that_is_not_there_harms_nobody(address: str, caplog: pytest.LogCaptureFixture) -> None:
    told = ServiceManager.from_environment({"NOTIFY_SOCKET": address})
    told.status("serving")
    told.alive()
    told.ready()
    with told.reloading():
        told.stopping()
    assert bool(caplog.messages) == bool(address)


def test_a_manager_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    manager, told_all = Manager(str(tmp_path / "notify")), threading.Event()

    def tell() -> None:
        told = ServiceManager(manager.address)
        for number in range(5000):  # more than any socket holds
            told.status(f"{number}")
            told.alive()
        told_all.set()

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        assert told_all.wait(PATIENCE)
    finally:
        manager.close()  # which would let go who waits
        telling.join()
