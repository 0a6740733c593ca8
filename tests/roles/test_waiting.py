"""Who waits longer than a moment is told what for, now and then, and nobody else is."""

import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from helpers import Recorder, wait_until
from mcast.errors import NotFoundError, UnreachableError
from mcast.net.waiting import SAY_AFTER, Waiting
from mcast.roles.bootstrap.main import main as bootstrap_main
from mcast.roles.client import listing, targets
from mcast.roles.client import main as client_main
from mcast.roles.client.main import main


def test_what_lasts_is_said_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Waiting("10.0.0.1:5000 to answer", crashes := Recorder(), after=0.001, each=0.001):
        wait_until(lambda: len(caplog.messages) >= 3)
    assert set(caplog.messages) == {"waiting: 10.0.0.1:5000 to answer"}
    assert crashes.calls == []


def test_what_is_quick_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Waiting("10.0.0.1:5000 to answer", Recorder(), after=600):
        pass
    assert caplog.messages == []


@pytest.fixture
def stuck(capfd: pytest.CaptureFixture[str]) -> Callable[..., NoReturn]:
    """Give what answers nothing until the user has been told that it is waited for."""
    told: list[str] = []

    def is_told() -> bool:
        told.append(capfd.readouterr().err)
        return "waiting: " in "".join(told)

    def wait(*_: object, **__: object) -> NoReturn:
        wait_until(is_told, "a line that says what is waited for")
        sys.stderr.write("".join(told))
        raise UnreachableError("nobody tells")

    return wait


def test_what_a_name_might_have_meant_is_waited_for_aloud(
    stuck: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def absent(*_: object) -> None:
        raise NotFoundError("no server has the content 'erth'")

    monkeypatch.setattr(client_main, "_play", absent)
    monkeypatch.setattr(listing, "list_contents", stuck)
    monkeypatch.setattr(listing, "_asked", lambda _: ["127.0.0.1:9"])
    assert main(["--neighbour", "127.0.0.1:9", "--content", "erth"]) == 3
    assert "waiting: a node to tell what 'erth' might have meant" in capfd.readouterr().err


def test_the_address_of_an_output_is_waited_for_aloud(
    stuck: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "resolve", stuck)
    output = "udp://tv.example:5000"
    assert main(["--neighbour", "127.0.0.1:9", "--content", "earth", "--output", output]) == 4
    assert f"waiting: the address of tv.example ({output})" in capfd.readouterr().err


def test_a_list_that_a_neighbour_is_slow_to_give_is_waited_for_aloud(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert main(["--neighbour", address, "--list", "--wait", f"{SAY_AFTER + 0.5}"]) == 4
    out, err = capfd.readouterr()
    assert out == ""
    waiting, failure = err.splitlines()
    assert f"client: waiting: {address} to tell which contents there are (waiting)" in waiting
    assert "nobody tells which contents there are" in failure


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Have no name found until the user has been told that it is waited for; return what he was told."""
    told: list[str] = []

    def is_told() -> bool:
        told.append(capfd.readouterr().err)
        return "waiting: " in "".join(told)

    def answer_late(*_: object, **__: object) -> NoReturn:
        wait_until(is_told, "a line that says what is waited for")
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", answer_late)
    return told


def test_the_name_of_a_neighbour_is_waited_for_aloud(slow_resolver: list[str]) -> None:
    assert main(["--neighbour", "n1.campus:5000", "--content", "film", "--player", "true"]) == 4
    assert "waiting: the address of n1.campus:5000" in "".join(slow_resolver)


@pytest.mark.parametrize("option", ["--address", "--http"])
def test_the_name_at_which_a_program_listens_is_waited_for_aloud(
    option: str, slow_resolver: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    layout = tmp_path / "layout.toml"
    layout.write_text('rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n')
    places = {"--address": "127.0.0.1:0", "--http": "127.0.0.1:0", option: "boot.campus:4000"}
    options = [word for pair in places.items() for word in pair]
    assert bootstrap_main([*options, "--config", str(layout), "--http-open"]) == 4
    assert "waiting: the address of boot.campus, to listen there" in "".join(slow_resolver)
    assert "cannot find the host 'boot.campus': Temporary failure" in capfd.readouterr().err
