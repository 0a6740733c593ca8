"""SIGINT and SIGTERM end every program in order: status 0, files whole, nothing left behind."""

import os
import signal
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.demo.check import decode_problems
from tools.demo.plan import write_layout
from tools.demo.processes import ProgramProcess, role_command, wait_until
from topology.conftest import Build
from topology.harness import START, Client, Topology
from topology.outside import children, exists, group_members

LIVE = """
[[content]]
name = "live"
source = "testsrc2=size=320x180:rate=25"
format = "lavfi"
"""
NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_client_that_is_told_to_end_leaves_a_whole_file(number: signal.Signals, line: Topology) -> None:
    logged = len(line.nodes["n3"].events)
    client = line.client("n3")
    client.wait_for_media(50_000)
    assert client.program.stop(number) == 0
    line.assert_complete(client)
    assert client.report()["exit_reason"] == "stopped by the user"
    left = line.nodes["n3"].wait_for_event("child_left", after=logged, content="clip")
    assert left.text("reason") in ("bye", "STOP(unsubscribe)")  # whichever comes first, by UDP or by TCP
    line.wait_idle(timeout=1.5)  # the STOP, not the lease


@pytest.mark.parametrize("number", NUMBERS)
def test_every_program_ends_in_the_middle_of_a_stream_with_status_0(
    number: signal.Signals, build: Build
) -> None:
    topology = build({"rp": ["n1"], "n1": []}, contents=("clip",))
    programs = [*topology.programs]
    client = topology.client("n1")
    client.wait_for_media(30_000)
    # From below to above, so that each is asked while its stream still flows.
    for program in (client.program, *reversed(programs)):
        group = group_members(program.pid)
        assert program.stop(number) == 0, program.text()
        assert not [pid for pid in group if exists(pid)]
        assert "Traceback" not in program.text()
    topology.assert_complete(client)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_overlay_ends_from_above_while_clients_watch(number: signal.Signals, build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": ["n2"], "n2": []})
    client = topology.client("n2", None, "--give-up", "1")
    client.wait_for_media(30_000)
    assert topology.nodes["rp"].stop(number) == 0
    assert client.program.wait(START) == 5
    assert topology.problems(client) == []
    for name in ("n1", "n2"):
        assert topology.nodes[name].stop(number) == 0


def test_a_live_inputs_ffmpeg_goes_with_its_server(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, contents=("clip",), start=False)
    topology.start_bootstrapper()
    for name in topology.links:
        topology.start_node(name)
    config = topology.directory / "live.toml"
    config.write_text(LIVE)
    server = start_server(topology, config)
    wait_until(lambda: topology.finds("n1", "live"), "the live content")
    client = topology.client("n1", "live", "--wait", "20")
    client.wait_for_media(20_000)
    ffmpegs = children(server.pid)
    assert ffmpegs
    assert client.stop()["lost_datagrams"] == 0
    wait_until(lambda: not any(map(exists, ffmpegs)), "ffmpeg to end with its last viewer")
    assert decode_problems(client.recording.read_bytes()) == []
    again: Client = topology.client("n1", "live", "--give-up", "1")
    again.wait_for_media(20_000)
    ffmpegs = children(server.pid)
    assert ffmpegs
    assert server.stop() == 0
    assert not any(map(exists, ffmpegs))
    assert again.program.wait(START) == 5


def test_a_live_input_goes_on_when_its_ffmpeg_was_killed(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, contents=("clip",), start=False)
    topology.start_bootstrapper()
    for name in topology.links:
        topology.start_node(name)
    config = topology.directory / "live.toml"
    config.write_text(LIVE)
    server = start_server(topology, config)
    wait_until(lambda: topology.finds("n1", "live"), "the live content")
    client = topology.client("n1", "live")
    client.wait_for_media(50_000)
    (ffmpeg,) = children(server.pid)
    os.kill(ffmpeg, signal.SIGKILL)
    wait_until(lambda: children(server.pid) not in ([], [ffmpeg]), "another ffmpeg")
    client.wait_for_media(client.written + 100_000)
    report = client.stop()
    assert report["lost_datagrams"] == 0
    assert report["continuity_errors"] == 0  # the break is marked as a discontinuity


def test_a_client_takes_its_player_with_it(line: Topology, tmp_path: Path) -> None:
    target = tmp_path / "played.ts"
    client = line.client("n1", None, "--player", f"dd of={target} bs=188 status=none", player=True)
    wait_until(lambda: target.exists() and target.stat().st_size > 20_000, "the player to get something")
    players = children(client.program.pid)
    assert players
    report = client.stop()
    assert not any(map(exists, players))
    assert 0 < target.stat().st_size <= report["bytes"]  # the user did not want to wait for the rest


def test_a_program_that_waits_for_others_can_be_ended_too(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    waiting = [topology.start_node("n1"), topology.client("n1", None, "--wait", "60").program]
    waiting[0].wait_for_event("bootstrapper_awaited")
    wait_until(lambda: handles_signals(waiting[1]), "the client to be up")
    for program in waiting:
        assert program.stop(signal.SIGTERM) == 0, program.text()


WITHIN_TIME = """
import sys
from mcast.roles import ending
ending.END_SECONDS = float(sys.argv.pop(1))
from mcast.__main__ import main
sys.exit(main())
"""
"""Runs mcast so that what has not ended so many seconds after SIGTERM is ended, with status 1: a failure."""


def within(seconds: float, topology: Topology, role: str, *options: str) -> ProgramProcess:
    """Start a program that fails if it takes longer to end."""
    python, _, _, *arguments = role_command(role, *options)
    name = f"{role}-{len(topology.programs)}"
    return topology.run(name, python, "-c", WITHIN_TIME, str(seconds), *arguments)


def test_a_node_whose_children_are_frozen_gives_them_up_and_ends(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": ["n2", "n3"], "n2": [], "n3": []}, start=False)
    topology.start_bootstrapper()
    topology.start_server("s1")
    for name in ("rp", "n2", "n3"):
        topology.start_node(name)
    bootstrap = topology.addresses.of("bootstrap")
    # The hand-over alone takes 0.75 s of the one second: here the machine may be busy.
    node = topology.nodes["n1"] = within(2.0, topology, "node", "--bootstrap", bootstrap, "--name", "n1")
    topology.wait_ready()
    clients = [topology.client(name) for name in ("n2", "n3")]
    for client in clients:
        client.wait_for_media(30_000)
    for name in ("n2", "n3"):
        topology.nodes[name].send(signal.SIGSTOP)
    assert node.stop(signal.SIGTERM) == 0, node.text()
    for name in ("n2", "n3"):
        topology.nodes[name].send(signal.SIGCONT)


def test_a_gateway_ends_within_a_second_although_it_is_watched(line: Topology) -> None:
    gateway = within(1.0, line, "client", "--neighbour", line.addresses.of("n3"), "--http", "127.0.0.1:0")
    try:
        url = f"http://{gateway.wait_for_event('listening').text('address')}"
        with ExitStack() as viewers:
            for path in ("/clip.ts", "/clip.mp4"):
                answer = viewers.enter_context(urllib.request.urlopen(url + path, timeout=START))
                assert answer.read(188)
            assert gateway.stop(signal.SIGTERM) == 0, gateway.text()
    finally:
        gateway.kill()
        line.programs.remove(gateway)


def test_a_bootstrapper_ends_within_a_second_although_its_page_is_open(build: Build) -> None:
    topology = build({"rp": []}, start=False)
    layout = topology.directory / "layout.json"
    write_layout(layout, topology.addresses, {"rp": []}, ())
    page = topology.addresses.of("page")
    bootstrapper = within(
        1.0, topology, "bootstrap", "--address", topology.addresses.of("bootstrap"), "--config", str(layout),
        "--http", page,
    )  # fmt: skip
    bootstrapper.wait_for_event("listening", address=page)
    topology.start_node("rp").wait_for_event("node_up")
    with urllib.request.urlopen(f"http://{page}/api/stream", timeout=START) as news:
        assert news.read(1)
        assert bootstrapper.stop(signal.SIGTERM) == 0, bootstrapper.text()


def start_server(topology: Topology, config: Path) -> ProgramProcess:
    server = topology.run("s1", *server_command(topology, config), environment=topology.stock.environment)
    topology.servers["s1"] = server
    return server


def server_command(topology: Topology, config: Path) -> list[str]:
    return role_command("server", "--address", topology.addresses.of("s1"), "--config", str(config))


def handles_signals(program: ProgramProcess) -> bool:
    """Return whether the process has a handler for SIGTERM: /proc knows."""
    for line in Path(f"/proc/{program.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False
