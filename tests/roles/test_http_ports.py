"""Who takes the port of `--http` for an mcast program's is told so at once."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import Recorder, wait_until
from mcast.hostport import parse_address
from mcast.roles.client.main import main
from mcast.roles.node.session import BootstrapSession
from mcast.wire.bootstrap import Register
from tools.demo.processes import ProgramProcess, role_command

TOLD = "an HTTP service is there: mcast listens at another port than its --http"


@pytest.fixture(params=["page", "gateway"])
def http_port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a bootstrapper's page, or a client's gateway, is served."""
    layout = tmp_path / "layout.toml"
    layout.write_text('rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n')
    if request.param == "page":
        options = ["bootstrap", "--address", "127.0.0.1:0", "--config", str(layout)]
    else:
        options = ["client", "--neighbour", "127.0.0.1:1"]
    program = ProgramProcess("http", role_command(*options, "--http", "127.0.0.1:0"), tmp_path / "log")
    try:
        program.wait_for_text("http://")
        (address,) = re.findall(r"http://([\d.:]+)", program.text())
        yield address
        assert program.stop() == 0
    finally:
        program.kill()


@pytest.mark.processes
def test_clients_and_nodes_are_told_that_an_http_service_is_there(
    http_port: str, capsys: pytest.CaptureFixture[str], crash: Recorder
) -> None:
    for options in (
        ["--neighbour", http_port, "--list"],
        ["--neighbour", http_port, "--content", "news", "--output", os.devnull],
        ["--bootstrap", http_port, "--content", "news", "--output", os.devnull],
    ):
        assert main([*options, "--wait", "1"]) == 4
        assert TOLD in capsys.readouterr().err.splitlines()[-1]
    session = BootstrapSession(parse_address(http_port), Register("n1", 1, bytes(16)), crash)
    session.start()
    wait_until(lambda: TOLD in session.awaited, "the session to know")
    session.stop()
