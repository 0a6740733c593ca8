"""A browser's way to a content: server, nodes and gateway as processes, seen from outside."""

import contextlib
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest

from mcast.net.deadline import Deadline
from tools.demo.processes import ProgramProcess, role_command
from topology.harness import START, Topology


@contextlib.contextmanager
def gateway(topology: Topology, *options: str, at: str = "n3") -> Iterator[tuple[ProgramProcess, str]]:
    """Start a gateway at a node; give it, and where it serves; it has ended afterwards."""
    command = role_command("client", "--neighbour", topology.addresses.of(at), "--http", "127.0.0.1:0")
    program = topology.run(f"gateway{len(topology.programs)}", *command, *options)
    try:
        program.wait_for_text("serving http://", START)
        found = re.search(r"serving (http://[\d.:]+)/", program.text())
        assert found is not None
        yield program, found[1]
    finally:
        if program.status is None:
            program.stop()


def opened(url: str) -> HTTPResponse:
    """Return the answer to a request, asked again where the machine is too busy for a stream (503)."""
    deadline = Deadline(START)
    while True:
        try:
            answer: HTTPResponse = urllib.request.urlopen(url, timeout=START)
            return answer
        except urllib.error.HTTPError as error:
            if error.code != 503 or deadline.expired:
                raise


def told(*options: str) -> "subprocess.CompletedProcess[str]":
    """Return what a client has said that ends by itself."""
    command = role_command("client", *options)
    return subprocess.run(command, capture_output=True, text=True, timeout=START, check=False)


def test_a_content_three_hops_away_is_listed_played_and_left(line: Topology) -> None:
    with gateway(line, "--linger", "0") as (program, base):
        with opened(f"{base}/playlist.m3u") as playlist:
            assert f"{base}/clip.ts" in playlist.read().decode().splitlines()
        command = ["ffmpeg", "-v", "error", "-i", f"{base}/clip.ts", "-t", "1", "-f", "null", "-"]
        opened(f"{base}/clip.ts").close()  # ffmpeg would not ask again
        done = subprocess.run(command, capture_output=True, timeout=START, check=False)
        assert done.returncode == 0, done.stderr
        line.wait_idle()
        assert program.stop() == 0
        assert "Traceback" not in program.text()


@pytest.mark.parametrize("path", ["/clip.ts", "/clip.mp4"])
def test_it_ends_in_order_although_somebody_watches(line: Topology, path: str) -> None:
    with gateway(line) as (program, base), opened(base + path) as answer:
        assert answer.read(188)
        program.send(signal.SIGTERM)
        assert program.wait(START) == 0
        answer.read()


def test_the_list_and_what_a_name_might_have_meant_are_told_on_the_command_line(line: Topology) -> None:
    neighbour = line.addresses.of("n3")
    listed = told("--neighbour", neighbour, "--list")
    rows = [row.split() for row in listed.stdout.splitlines()]
    assert (listed.returncode, rows[0][:3]) == (0, ["NAME", "KIND", "DURATION"])
    head, *lines = listed.stdout.splitlines()
    assert {line[head.index("VIEWERS") :].split()[0] for line in lines} == {"0"}
    assert ["clip", "loop", "0:00:10", "320x180"] in [row[:4] for row in rows]
    assert ["once", "file"] in [row[:2] for row in rows]
    failed = told("--neighbour", neighbour, "--content", "clpi", "--output", "-")
    assert failed.returncode == 3
    assert "did you mean 'clip'?" in failed.stderr.splitlines()[-1]
