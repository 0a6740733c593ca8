"""Trace files: what is written can be read back, and a file that fails costs the trace alone."""

import contextlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from helpers import wait_until
from mcast.errors import ConfigError
from mcast.overlay import trace
from mcast.overlay.events import DiscReceived, Event, LayoutChanged, TimePassed
from mcast.overlay.node_core import NodeCore
from mcast.peer.trace import TraceWriter
from roles.partners import N1, disc

SEED = bytes(16)
HEADER = trace.header(N1, rendezvous=False, seed=SEED)


def test_what_is_written_is_replayed_to_the_same_actions(tmp_path: Path) -> None:
    path = tmp_path / "n1.jsonl"
    core, writer = NodeCore(N1, random.Random(SEED)), TraceWriter(path, HEADER)
    events: list[Event] = [LayoutChanged(("rp",)), DiscReceived(1, disc()), TimePassed()]
    for now, event in enumerate(events):
        writer.write(float(now), event, core.handle(event, float(now)))
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == HEADER
    assert len(lines) == 1 + len(events)
    assert lines[2]["actions"]  # it asks rp
    assert list(trace.replay(lines, random.Random(SEED))) == []


def test_it_is_there_to_be_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "n1.jsonl"
    writer = TraceWriter(path, HEADER)
    assert path.read_text().count("\n") == 1
    writer.write(1.0, TimePassed(), ())
    wait_until(lambda: path.read_text().count("\n") == 2, "the decision")
    writer.close()


def test_a_file_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--trace: cannot write .*no/n1.jsonl: No such file"):
        TraceWriter(tmp_path / "no" / "n1.jsonl", HEADER)


def test_a_disk_that_fills_up_ends_the_trace_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match="No space left"):
        TraceWriter(Path("/dev/full"), HEADER)
    writer = TraceWriter(Path("/dev/null"), HEADER)
    full = os.open("/dev/full", os.O_WRONLY)
    assert writer._lines._fd is not None
    os.dup2(full, writer._lines._fd)
    os.close(full)
    for _ in range(3):
        writer.write(1.0, TimePassed(), ())
    wait_until(lambda: caplog.records, "the error")
    writer.write(1.0, TimePassed(), ())
    writer.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "ends here: No space left on device" in caplog.text


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def test_a_fifo_that_nobody_reads_is_refused_instead_of_waited_for(fifo: Path) -> None:
    with pytest.raises(ConfigError, match="nobody reads this FIFO: start its reader first"):
        TraceWriter(fifo, HEADER)


def test_a_reader_that_stops_keeps_nobody_waiting_and_what_it_missed_is_counted(
    fifo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mcast.peer.trace.MAX_WAITING", 100_000)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = TraceWriter(fifo, HEADER)
    steps = 5_000  # some 100 bytes each, and a pipe holds 64 KiB
    for _ in range(steps):
        writer.write(1.0, TimePassed(), ())
    data, missed = b"", 0
    lines: list[dict[str, Any]] = [{}]

    def have_come() -> bool:
        nonlocal data, missed, lines
        with contextlib.suppress(BlockingIOError):
            data += os.read(reader, 65_536)
        lines = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].decode().splitlines()]
        # A line that says how many were left out stands for these, and is no decision itself.
        missed = sum(line["left_out"] - 1 for line in lines if "left_out" in line)
        return len(lines) - 1 + missed >= steps

    wait_until(have_come, "all decisions, written or counted")
    assert missed > 0
    assert "decisions were left out" in caplog.text
    with pytest.raises(trace.TraceError, match="steps were left out here"):
        list(trace.replay(lines, random.Random(SEED)))
    writer.close()
    os.close(reader)


def test_its_end_does_not_wait_for_a_reader_that_has_stopped(
    fifo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = TraceWriter(fifo, HEADER)
    for _ in range(2_000):
        writer.write(1.0, TimePassed(), ())
    writer.close()
    writer.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"--trace: {fifo}: the end is missing, as nobody reads it"
    ]
    os.close(reader)
