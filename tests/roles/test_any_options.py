"""Whatever an option says: a program ends with one clear line and a documented status, or does its work."""

import argparse
import re
from pathlib import Path

import pytest

from mcast.roles import cli, interpreter
from mcast.roles.bootstrap import main as bootstrap
from mcast.roles.bootstrap import top
from mcast.roles.client import main as client
from mcast.roles.node import main as node
from mcast.roles.server import main as server

DOCUMENTED = {0, 2, 3, 4, 5}
"""Statuses that are no fault of ours (mcast.errors)."""
ODD = [
    "",
    "--",  # a value that argparse makes a list of
    "9" * 5_000,  # more digits than Python reads
    "-1",
    "²",  # a digit, and no number
    "٣",
    "nan",
    "1e308",
    "1e-320",
    "a\udcff",  # an argument that was no UTF-8
    "x" * 300,  # longer than a file's name may be
    "[fe80::1%nope]:5000",  # an interface that is not there
    "[fe80::1%99999999999]:5000",
    "udp://[fe80::1%nope]:5000",
    "udp://239.1.1.1:5000?iface=%00",
    "udp://239.1.1.1:5000?iface=::1",
    f"udp://127.0.0.1:5000?ttl={'9' * 5_000}",
    "http://[::1%nope]:99999/",
]
NEIGHBOUR = ["--neighbour", "127.0.0.1:1"]
COMMANDS = [  # with what they need, and the options to be tried: all, or those that begin so
    (client.PROGRAM, [*NEIGHBOUR, "--content", "x", "--player", "true"], ""),
    (client.PROGRAM, [*NEIGHBOUR, "--http", "127.0.0.1:0"], "--http|--linger"),
    (bootstrap.PROGRAM, ["--address", "127.0.0.1:0", "--config", "layout.toml", "--http", "127.0.0.1:0"], ""),
    (top.PROGRAM, ["--http-url", "http://127.0.0.1:1"], ""),
    (node.PROGRAM, ["--bootstrap", "127.0.0.1:1"], ""),
    (server.PROGRAM, ["--address", "127.0.0.1:0", "--config", "server.toml", "--cache", "cache"], ""),
]


class Stopped(cli.Process):
    """A process whose user wants to go at once, so that each program ends soon after it has begun."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stop.set()


def options_of(command: cli.Command, tried: str) -> list[str]:
    """Return the options of a program that take a value."""
    actions: list[argparse.Action] = cli.parser_of(command)._actions
    found = [action.option_strings[0] for action in actions if action.option_strings and action.nargs != 0]
    return [option for option in found if re.match(tried, option)]


@pytest.mark.parametrize(
    ("command", "arguments", "tried"), COMMANDS, ids=[f"{each[0].name}{each[1][-2]}" for each in COMMANDS]
)
def test_any_value_of_any_option_is_used_or_refused(
    command: cli.Command,
    arguments: list[str],
    tried: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "layout.toml").write_text('rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n')
    (tmp_path / "server.toml").write_text('[[content]]\nname = "film"\nsource = "film.mp4"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "Process", Stopped)
    monkeypatch.setattr(interpreter, "share_one_heap", lambda: None)  # a thousand times would fill it
    options = options_of(command, tried)
    assert options
    for option in options:
        for value in ODD:
            status = cli.run(command, [*arguments, f"{option}={value}"])
            said = capsys.readouterr().err
            case = f"{option}={value[:40]}: {said[-300:]}"
            assert status in DOCUMENTED, case
            assert "Traceback" not in said, case
            # None on a machine that is too busy: the last word is not waited for without an end.
            assert len(re.findall(r"^mcast-.*: error: ", said, re.MULTILINE)) <= (status != 0), case
