"""What goes wrong is one clear line on stderr and a status of its own, never a traceback."""

import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.demo.plan import LoopbackAddresses
from tools.demo.processes import ProgramProcess, role_command
from topology.conftest import Build
from topology.contents import Stock
from topology.harness import Topology

LIMIT = 40.0
"""Seconds: a neighbour that says nothing costs a client three tries of 6 s; all others end in one."""
NOBODY = "127.0.0.1:9"

GOOD_LAYOUT = """
rendezvous = "rp"
[nodes.rp]
address = "127.0.0.1:5000"
neighbours = ["n1"]
servers = ["127.0.0.1:7000"]
[nodes.n1]
address = "127.0.0.2:5000"
"""

LAYOUTS = {
    "bad TOML": ("rendezvous = \n", "line 1"),
    "unknown key": (GOOD_LAYOUT + 'colour = "red"\n', "colour"),
    "unknown neighbour": (GOOD_LAYOUT + 'neighbours = ["n9"]\n', "n9"),
    "unreachable node": (GOOD_LAYOUT + '[nodes.n7]\naddress = "127.0.0.7:5000"\n', "n7"),
    "rendezvous is no node": (GOOD_LAYOUT.replace('"rp"', '"xy"', 1), "xy"),
    "duplicate address": (GOOD_LAYOUT.replace("127.0.0.2", "127.0.0.1"), "127.0.0.1:5000"),
    "port out of range": (GOOD_LAYOUT.replace("127.0.0.2:5000", "127.0.0.2:70000"), "70000"),
    "no address": (GOOD_LAYOUT.replace('address = "127.0.0.2:5000"', ""), "address"),
}

CONTENTS = {
    "bad TOML": ("[[content]\n", "line 1"),
    "unknown key": ('[[content]]\nname = "a"\nsource = "{clip}"\nlopp = true\n', "loop"),
    "no such source": ('[[content]]\nname = "a"\nsource = "missing.mp4"\n', "missing.mp4"),
    "a source that ffmpeg cannot read": ('[[content]]\nname = "a"\nsource = "{text}"\n', "text.txt"),
    "packets out of range": ('[[content]]\nname = "a"\nsource = "{clip}"\ndatagram_packets = 8\n', "8"),
    "the same name twice": ('[[content]]\nname = "a"\nsource = "{clip}"\n' * 2, "twice"),
    "no contents": ("", "content"),
}

USAGE = {
    "no options": ("client", [], "--"),
    "an unknown option": ("node", ["--bootstrap", NOBODY, "--colour", "red"], "--colour"),
    "an address without port": ("node", ["--bootstrap", "127.0.0.1"], "port"),
    "a port out of range": ("client", ["--content", "a", "--neighbour", "127.0.0.1:99999"], "99999"),
    "a port that is no number": ("server", ["--address", "127.0.0.1:http", "--config", "x"], "http"),
    "a port range upside down": (
        "client",
        ["--content", "a", "--neighbour", NOBODY, "--output", "-", "--media-ports", "9-5"],
        "9-5",
    ),
    "no such file": ("bootstrap", ["--address", "127.0.0.1:0", "--config", "/nowhere.toml"], "/nowhere.toml"),
    "no such server file": ("server", ["--address", "127.0.0.1:0", "--config", "/nowhere.toml"], "nowhere"),
    "one output twice": (
        "client",
        ["--content", "a", "--neighbour", NOBODY, "--output", "-", "--output", "-"],
        "--output -",
    ),
    "a recording that cannot be written": (
        "client",
        ["--content", "a", "--neighbour", NOBODY, "--output", "/nowhere/a.ts", "--wait", "1"],
        "/nowhere/a.ts",
    ),
    "a role that there is not": ("viewer", [], "viewer"),
}

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, stock: Stock) -> Run:
    """Run a role to its end; return its status and its one line."""

    def run(role: str, *options: str, **environment: str) -> tuple[int, str]:
        program = ProgramProcess(
            role,
            role_command(role, *options),
            tmp_path / "log",
            environment=stock.environment | environment,
        )
        try:
            status = program.wait(LIMIT)
        finally:
            program.kill()
        text = program.text()
        assert "Traceback" not in text, text
        lines = [line for line in text.splitlines() if ": error: " in line]
        assert len(lines) == 1, text
        return status, lines[0]

    return run


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_layout_that_is_wrong_is_refused_whole(kind: str, run: Run, tmp_path: Path) -> None:
    text, mentioned = LAYOUTS[kind]
    file = tmp_path / "campus.toml"
    file.write_text(text)
    status, line = run("bootstrap", "--check", "--config", str(file))
    assert status == 2
    assert mentioned in line
    assert "campus.toml" in line


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_servers_file_that_is_wrong_is_refused_whole(
    kind: str, run: Run, tmp_path: Path, stock: Stock
) -> None:
    text, mentioned = CONTENTS[kind]
    (tmp_path / "text.txt").write_text("this is no video\n" * 100)
    file = tmp_path / "contents.toml"
    file.write_text(text.format(clip=stock.source("clip"), text=tmp_path / "text.txt"))
    status, line = run("server", "--prepare", "--config", str(file))
    assert status == 2
    assert mentioned in line


@pytest.mark.parametrize("kind", USAGE)
def test_options_that_make_no_sense_are_status_2(kind: str, run: Run) -> None:
    role, options, mentioned = USAGE[kind]
    status, line = run(role, *options)
    assert status == 2
    assert mentioned in line


def test_a_missing_ffmpeg_is_status_2_and_the_command_that_installs_it(
    run: Run, tmp_path: Path, stock: Stock
) -> None:
    config = stock.write_config(tmp_path / "contents.toml", ["clip"])
    status, line = run(
        "server", "--prepare", "--config", str(config), "--cache", str(tmp_path / "empty"),
        PATH=str(path_without_ffmpeg(tmp_path)),
    )  # fmt: skip
    assert status == 2
    assert "ffmpeg" in line or "ffprobe" in line
    assert "install" in line


def test_a_missing_ffplay_is_status_2(run: Run, tmp_path: Path) -> None:
    path = str(path_without_ffmpeg(tmp_path))
    status, line = run("client", "--content", "clip", "--neighbour", NOBODY, DISPLAY=":9", PATH=path)
    assert status == 2
    assert "ffplay" in line


def test_no_display_is_status_2_at_once(run: Run) -> None:
    status, line = run("client", "--content", "clip", "--neighbour", NOBODY, DISPLAY="", WAYLAND_DISPLAY="")
    assert status == 2
    assert "--output" in line


@pytest.mark.parametrize("role", ["bootstrap", "server"])
def test_a_port_in_use_is_status_2_and_named(role: str, run: Run, tmp_path: Path, stock: Stock) -> None:
    layout = tmp_path / "layout.toml"
    layout.write_text(GOOD_LAYOUT)
    config = layout if role == "bootstrap" else stock.write_config(tmp_path / "contents.toml", ["clip"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, line = run(role, "--address", f"127.0.0.1:{port}", "--config", str(config))
    assert status == 2
    assert str(port) in line


def test_a_nodes_port_in_use_is_status_2_and_named(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    topology.start_bootstrapper()
    host, _, port = topology.addresses.of("n1").rpartition(":")
    with socket.create_server((host, int(port))):
        node = topology.start_node("n1")
        assert node.wait(LIMIT) == 2
    assert port in node.text().splitlines()[-1]


def test_a_node_that_is_started_a_second_time_is_told_that_it_runs_already(build: Build) -> None:
    topology = build({"rp": []}, start=False)
    topology.start_bootstrapper()
    first = topology.start_node("rp")
    first.wait_for_event("listening")
    command = role_command("node", "--bootstrap", topology.addresses.of("bootstrap"), "--name", "rp")
    second = topology.run("second", *command)
    assert second.wait(LIMIT) == 2
    assert "mcast-node runs here already, as 'rp'" in last_line(second)
    assert first.status is None


def test_who_comes_to_a_servers_port_with_the_wrong_program_is_told_what_runs_there(
    build: Build, run: Run, stock: Stock, tmp_path: Path
) -> None:
    topology = build({"rp": []}, start=False)
    topology.start_server("s1").wait_for_event("listening")
    config = stock.write_config(tmp_path / "contents.toml", ["clip"])
    status, line = run("server", "--address", topology.addresses.of("s1"), "--config", str(config))
    assert status == 2
    assert "mcast-server runs here already, at port" in line
    client = topology.client("s1", "clip", "--wait", "1")
    assert client.program.wait(LIMIT) == 4
    assert "this is a mcast-server, not a mcast-node: check the address" in last_line(client.program)


def test_a_node_that_the_layout_does_not_know_is_status_2(build: Build) -> None:
    topology = build({"rp": []}, start=False)
    topology.start_bootstrapper()
    node = topology.start_node("n9")
    assert node.wait(LIMIT) == 2
    assert "n9" in last_line(node)


def test_a_content_that_no_server_has_is_status_3(line: Topology) -> None:
    client = line.client("n3", "unheard")
    assert client.program.wait(LIMIT) == 3
    assert "unheard" in last_line(client.program)
    assert client.report()["exit_status"] == 3


def test_a_neighbour_that_does_not_answer_is_status_4_with_its_address_and_the_time(run: Run) -> None:
    status, line = run("client", "--content", "a", "--neighbour", NOBODY, "--output", "-", "--wait", "1")
    assert status == 4
    assert NOBODY in line
    assert "1 s" in line


def test_a_neighbour_that_takes_the_call_and_says_nothing_is_status_4(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        status, line = run(
            "client", "--content", "a", "--neighbour", address, "--output", "-", "--wait", "2"
        )  # fmt: skip
    assert status == 4
    assert address in line


def test_no_way_to_the_rendezvous_point_is_status_4(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    topology.start_bootstrapper()
    topology.start_node("n1").wait_for_event("node_up", node="n1", kind="overlay")
    client = topology.client("n1")
    assert client.program.wait(LIMIT) == 4
    assert topology.addresses.of("n1") in last_line(client.program)


def test_a_stream_whose_server_is_killed_is_status_5(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []})
    client = topology.client("n1", None, "--give-up", "1")
    client.wait_for_media()
    topology.servers["s1"].kill()
    assert client.program.wait(LIMIT) == 5
    report = client.report()
    assert report["exit_status"] == 5
    assert report["exit_reason"] in last_line(client.program)
    assert topology.problems(client) == []  # what it got until then is whole


def test_a_stream_whose_server_leaves_is_status_5(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []})
    client = topology.client("n1", None, "--give-up", "1")
    client.wait_for_media()
    assert topology.servers["s1"].stop() == 0
    assert client.program.wait(LIMIT) == 5
    assert "no media for 1 s" in last_line(client.program)


def last_line(program: ProgramProcess) -> str:
    """Return the one line for the user; it is the last."""
    line = program.text().splitlines()[-1]
    assert ": error: " in line
    assert "Traceback" not in program.text()
    return line


def path_without_ffmpeg(tmp_path: Path) -> Path:
    """Make a directory for PATH that has nothing but the package manager, so that advice can be given."""
    directory = tmp_path / "bin"
    directory.mkdir()
    if found := shutil.which("apt-get"):
        (directory / "apt-get").symlink_to(found)
    (directory / "python3").symlink_to(sys.executable)
    return directory


def test_free_addresses_are_free() -> None:
    host, _, port = LoopbackAddresses().of("any").rpartition(":")
    with socket.create_server((host, int(port))):
        pass
