"""A content that is piped into a server: `ffmpeg … | mcast-server`, with `copy = true`."""

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mcast.wire.mpegts import NULL_PID, PACKET, pid_at
from media.source.foreign import foreign
from media.source.transport import packets
from tools.demo.processes import ProgramProcess, role_command, wait_until
from topology.asking import contents_of
from topology.conftest import Build
from topology.contents import Stock
from topology.harness import START, Topology
from topology.test_gateway import gateway, opened


def piped_server(topology: Topology, pipe: Path) -> ProgramProcess:
    """Start a bootstrapper, the rendezvous point, and a server that reads a pipe; wait for its list."""
    config = topology.directory / "server.toml"
    config.write_text('[[content]]\nname = "piped"\nsource = "-"\ncopy = true\n')
    topology.start_bootstrapper()
    topology.start_node("rp")
    command = role_command("server", "--address", topology.addresses.of("s1"), "--config", str(config))
    server = topology.run("s1", "sh", "-c", f'exec "$@" < {shlex.quote(str(pipe))}', "sh", *command)
    wait_until(lambda: bool(contents_of(topology.addresses.of("s1"))), "the server's list", START)
    return server


def media_of(data: bytes) -> bytes:
    """Return the packets of a transport stream but for null packets."""
    return b"".join(
        data[at : at + PACKET]
        for at in range(0, len(data) - PACKET + 1, PACKET)
        if pid_at(data, at) != NULL_PID
    )


def test_what_is_piped_in_comes_out_untouched_and_is_over_when_its_writer_ends(
    build: Build, stock: Stock, tmp_path: Path
) -> None:
    pipe, written, gate = tmp_path / "pipe", tmp_path / "written.ts", tmp_path / "gate"
    os.mkfifo(pipe)
    topology: Topology = build({"rp": []}, contents=(), start=False)
    sender = (
        f"exec 3> {shlex.quote(str(pipe))}; until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done;"
        f" ffmpeg -nostdin -v error -re -i {shlex.quote(str(stock.source('clip')))} -c copy -f mpegts -"
        f" | tee {shlex.quote(str(written))} >&3"
    )
    topology.run("sender", "sh", "-c", sender)
    server = piped_server(topology, pipe)
    client = topology.client("rp", "piped", "--wait", "60")
    client.program.wait_for_text("joined by way of rp", START)
    gate.touch()
    report = client.finish()
    assert report["lost_datagrams"] == report["continuity_errors"] == 0
    recorded = media_of(client.recording.read_bytes())
    assert len(recorded) > 100 * PACKET
    assert recorded in media_of(written.read_bytes())
    assert server.status is None, "it has nothing to give any more, and serves on"


def test_a_stream_of_twenty_sounds_is_sent_untouched_and_browsers_get_its_picture(
    build: Build, shared_directory: Path, tmp_path: Path
) -> None:
    stream, pipe, gate = foreign(shared_directory, "many"), tmp_path / "pipe", tmp_path / "gate"
    os.mkfifo(pipe)
    topology: Topology = build({"rp": []}, contents=(), start=False)
    wait = f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done"
    sender = f"exec > {shlex.quote(str(pipe))}; {wait}; cat {shlex.quote(str(stream))}"
    topology.run("sender", "sh", "-c", sender)
    piped_server(topology, pipe)
    client = topology.client("rp", "piped", "--wait", "60")
    with gateway(topology, at="rp") as (program, base), ThreadPoolExecutor() as pool:
        playlist = pool.submit(read, f"{base}/piped/index.m3u8")
        try:
            for each in (client.program, program):
                each.wait_for_text("joined by way of rp", START)
        finally:
            gate.touch()  # else the playlist is waited for
        names = [line for line in playlist.result().decode().splitlines() if line.endswith(".ts")]
        segment = tmp_path / "segment.ts"
        segment.write_bytes(read(f"{base}/piped/{names[0]}"))
    pictures = [line for line in packets(segment, "codec_type,flags") if line[0] == "video"]
    assert (len(pictures), pictures[0][1][0]) == (25, "K")
    report = client.finish()
    assert report["lost_datagrams"] == report["continuity_errors"] == 0
    recorded = media_of(client.recording.read_bytes())
    assert recorded in media_of(stream.read_bytes())
    assert len(recorded) > 0.9 * len(stream.read_bytes())


def read(url: str) -> bytes:
    with opened(url) as answer:
        return answer.read()


def test_a_terminal_is_no_pipe(build: Build) -> None:
    topology: Topology = build({"rp": []}, contents=(), start=False)
    config = topology.directory / "server.toml"
    config.write_text('[[content]]\nname = "piped"\nsource = "-"\ncopy = true\n')
    command = role_command("server", "--address", topology.addresses.of("s1"), "--config", str(config))
    server = topology.run("s1", "script", "-qec", shlex.join(command), "/dev/null")
    assert server.wait(START) == 2
    assert "standard input is a terminal" in server.text()
