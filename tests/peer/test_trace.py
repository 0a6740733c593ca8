"""Trace files: what is written can be read back, and a file that fails costs the trace alone."""

import json
import os
import random
from pathlib import Path

import pytest

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


def test_it_is_there_to_be_read_after_each_flush(tmp_path: Path) -> None:
    path = tmp_path / "n1.jsonl"
    writer = TraceWriter(path, HEADER)
    assert path.read_text().count("\n") == 1
    writer.write(1.0, TimePassed(), ())
    writer.flush()
    assert path.read_text().count("\n") == 2
    writer.close()


def test_a_file_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--trace: cannot write .*no/n1.jsonl: No such file"):
        TraceWriter(tmp_path / "no" / "n1.jsonl", HEADER)


def test_a_disk_that_fills_up_ends_the_trace_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match="No space left"):
        TraceWriter(Path("/dev/full"), HEADER)
    writer = TraceWriter(Path("/dev/null"), HEADER)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._file.fileno())
    os.close(full)
    for _ in range(3):
        writer.write(1.0, TimePassed(), ())
        writer.flush()
    writer.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "ends here: No space left on device" in caplog.text
