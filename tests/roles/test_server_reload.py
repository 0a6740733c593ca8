"""SIGHUP lets a running server read its file again; one with a mistake changes nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import PATIENCE, unused_port, wait_until
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.roles.server.main import main
from mcast.wire.server import Contents, Wake
from roles.partners import reached, read
from tools.demo.processes import environment_with

LIVE = '[[content]]\nname = "{}"\nsource = "testsrc2"\nformat = "lavfi"\n'


def listed(connection: Connection) -> list[str]:
    return [info.name for info in read(connection, Contents).contents]


@pytest.mark.processes
def test_sighup_reads_the_servers_file_again(tmp_path: Path) -> None:
    address = HostPort("127.0.0.1", unused_port())
    config = tmp_path / "server.toml"
    config.write_text(LIVE.format("one"))
    command = [sys.executable, "-m", "mcast", "server", "--config", str(config), "--address", str(address)]
    command += ["--cache", str(tmp_path / "cache")]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, env=environment_with({})) as server,
    ):
        try:
            with reached(address) as connection:
                connection.send(Wake())
                assert listed(connection) == ["one"]
                config.write_text(LIVE.format("one") + LIVE.format("two"))
                server.send_signal(signal.SIGHUP)
                assert listed(connection) == ["one", "two"]
                config.write_text(LIVE.format("three") + "colour = 1\n")
                server.send_signal(signal.SIGHUP)
                wait_until(lambda: "colour" in (tmp_path / "log").read_text(), "the refusal")
                connection.send(Wake())
                assert listed(connection) == ["one", "two"]
        finally:
            server.terminate()
        assert server.wait(PATIENCE) == 0
    assert (tmp_path / "log").read_text().count(f"{config}: rendezvous: whoever may ask is believed") == 1


@pytest.mark.parametrize("work", [["--prepare"], ["--address", "127.0.0.1:0"]], ids=lambda work: work[0])
def test_a_key_file_that_cannot_be_used_is_told_of_before_sources_are_read(
    work: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.toml").write_text('[[content]]\nname = "film"\nsource = "missing.mp4"\n')
    files = ["--config", str(tmp_path / "server.toml"), "--cache", str(tmp_path / "cache")]
    assert main([*files, *work, "--key-file", str(tmp_path / "missing.key")]) == 2
    said = capsys.readouterr().err
    assert "missing.key: cannot be read" in said
    assert "missing.mp4" not in said
