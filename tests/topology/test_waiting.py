"""Viewers who wait: for a content that is being prepared, for a live input that says nothing yet."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcast.wire.server import Readiness
from media.source.clips import film
from media.source.senders import HttpSender
from tools.demo.check import size_problems
from tools.demo.processes import ProgramProcess, role_command, wait_until
from topology.asking import contents_of
from topology.conftest import Build
from topology.contents import Stock
from topology.harness import START, Topology

ENCODER = """#!/bin/sh
# ffmpeg, but what it prepares stands still in the middle until there is a gate; one with a text is shut.
case "$*" in
*pipe:1) ;;
*) exec {real} "$@" ;;
esac
{real} "$@" | {{
    head -c 60000
    while [ ! -e {gate} ]; do sleep 0.02; done
    cat
}}
[ ! -s {gate} ] || {{ cat {gate} >&2; exit 1; }}
"""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An ffmpeg that prepares as far as the test lets it."""

    directory: Path

    @property
    def _gate(self) -> Path:
        return self.directory / "gate"

    @property
    def environment(self) -> dict[str, str]:
        program = self.directory / "ffmpeg"
        real = shutil.which("ffmpeg")
        program.write_text(ENCODER.format(real=real, gate=self._gate))
        program.chmod(0o755)
        return {"PATH": f"{self.directory}:{os.environ['PATH']}"}

    def go_on(self) -> None:
        self._gate.touch()

    def fail(self, complaint: str) -> None:
        part = self.directory / "part"
        part.write_text(complaint)
        part.rename(self._gate)


def server_of(topology: Topology, content: str, environment: dict[str, str] | None = None) -> ProgramProcess:
    """Start a bootstrapper, the rendezvous point, and a server with a cache of its own."""
    config = topology.directory / "server.toml"
    config.write_text(f'cache = "{topology.directory / "cache"}"\n[[content]]\n{content}\n')
    topology.start_bootstrapper()
    topology.start_node("rp")
    command = role_command("server", "--address", topology.addresses.of("s1"), "--config", str(config))
    return topology.run("s1", *command, "--log-format", "json", environment=environment)


def is_preparing(topology: Topology) -> bool:
    """Return whether the server says how far it is, and the rendezvous point has heard that."""
    infos = contents_of(topology.addresses.of("s1"))
    told = [info for info in infos if info.readiness is Readiness.PREPARING and "%" in info.format]
    return bool(told) and "contents: film" in topology.nodes["rp"].text()


def test_who_joins_while_a_content_is_being_prepared_waits_and_then_plays(
    build: Build, stock: Stock, tmp_path: Path
) -> None:
    encoder = Encoder(tmp_path)
    topology: Topology = build({"rp": []}, contents=(), start=False)
    server_of(topology, f'name = "film"\nsource = "{stock.source("once")}"', encoder.environment)
    wait_until(lambda: is_preparing(topology), "the middle of the preparation", START)
    hasty = topology.client("rp", "film", "--wait", "0.5")
    patient = topology.client("rp", "film", "--wait", "90", seconds=0.5)
    assert hasty.program.wait(START) == 4
    assert "error: the content 'film' is not ready: preparing " in hasty.program.text()
    assert not hasty.recording.exists()
    patient.program.wait_for_text("[film] waiting: preparing ", START)
    encoder.go_on()
    report = patient.finish()
    assert report["lost_datagrams"] == report["continuity_errors"] == 0
    assert size_problems(report, patient.written) == []
    assert patient.written > 0


def test_who_waits_for_a_preparation_that_fails_is_told_why(
    build: Build, stock: Stock, tmp_path: Path
) -> None:
    encoder = Encoder(tmp_path)
    topology: Topology = build({"rp": []}, contents=(), start=False)
    server_of(topology, f'name = "film"\nsource = "{stock.source("once")}"', encoder.environment)
    wait_until(lambda: is_preparing(topology), "the middle of the preparation", START)
    client = topology.client("rp", "film", "--wait", "90")
    client.program.wait_for_text("[film] waiting: preparing ", START)
    encoder.fail("av_interleaved_write_frame(): No space left on device")
    assert client.program.wait(START) == 4
    (line,) = [line for line in client.program.text().splitlines() if ": error: " in line]
    assert "content 'film': source: " in line
    assert "No space left on device" in line or "disk" in line


@contextmanager
def speaker(port: int) -> Iterator[None]:
    """Send a picture to a UDP port of this machine."""
    picture = ["-f", "lavfi", "-re", "-i", "testsrc2=size=320x180:rate=25"]
    encoding = ["-c:v", "mpeg2video", "-b:v", "300k", "-g", "12"]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", *picture, *encoding, "-f", "mpegts"]
    with subprocess.Popen([*command, f"udp://127.0.0.1:{port}?pkt_size=1316"]) as process:
        try:
            yield
        finally:
            process.kill()


def test_a_live_input_that_is_silent_is_waited_for_and_no_file_is_touched_before_it_speaks(
    build: Build,
) -> None:
    topology: Topology = build({"rp": []}, contents=(), start=False)
    port = int(topology.addresses.of("studio").rpartition(":")[2])
    source = f'name = "studio"\nsource = "udp://127.0.0.1:{port}"\nhold = 0'
    server = server_of(topology, source)
    wait_until(lambda: topology.finds("rp", "studio"), "the content", START)
    older = topology.directory / "older.ts"
    older.write_bytes(b"an older recording")
    hasty = topology.client("rp", "studio", "--wait", "0.5", output=str(older))
    patient = topology.client("rp", "studio", "--wait", "90", seconds=0.5)
    assert hasty.program.wait(START) == 4
    assert "error: no media of 'studio' has come in 0.5 s, though it was joined at rp" in hasty.program.text()
    assert older.read_bytes() == b"an older recording"
    silent = server.wait_for_event("live_input_silent", START, content="studio")
    assert float(str(silent.line["silent_s"])) < 5
    patient.program.wait_for_text("[studio] waiting: the source is silent", START)
    with speaker(port):
        report = patient.finish()
    server.wait_for_event("live_input_back", START, content="studio")
    assert report["join_ms"] > 4_000, "it counts from the first media"
    assert 0.5 <= report["duration_s"] < 3


def test_viewers_of_an_http_input_that_stalls_stay_and_see_what_comes_when_it_is_asked_again(
    build: Build, tmp_path: Path
) -> None:
    topology: Topology = build({"rp": []}, contents=(), start=False)
    with closing(HttpSender(film(tmp_path / "film.ts", 8).read_bytes(), 150)) as sender:
        source = f'name = "studio"\nsource = "{sender.url}"\ncopy = true\nstall = 2'
        server = server_of(topology, source)
        wait_until(lambda: topology.finds("rp", "studio"), "the content", START)
        client = topology.client("rp", "studio")
        client.wait_for_media(10_000)
        sender.go_on()
        stalled = server.wait_for_event("live_input_ended", START, content="studio")
        assert stalled.line["reason"] == "nothing came for 2 s"
        client.wait_for_media(client.written + 30_000)
        report = client.stop()
    assert report["lost_datagrams"] == report["discontinuities"] == 0
    assert size_problems(report, client.written) == []
