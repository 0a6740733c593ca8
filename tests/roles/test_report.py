import json
import os
from pathlib import Path

import pytest

from mcast.client import Statistics
from mcast.errors import ConfigError
from mcast.roles.client.report import Report, write_whole

PROMISED = {
    "content", "path", "request_id", "ssrc", "first_number", "join_ms", "first_keyframe_ms", "duration_s",
    "ts_packets", "bytes", "lost_datagrams", "duplicate_datagrams", "reordered_datagrams",
    "repaired_datagrams", "continuity_errors", "dropped_bytes", "latency_ms", "playout_latency_ms",
    "clock_delay_ms", "receive_buffer_bytes", "parent_changes", "discontinuities", "late_datagrams",
    "nack_sent", "longest_gap_ms", "longest_gaps", "output_times", "exit_reason", "exit_status", "outputs",
}  # fmt: skip
"""What docs/operations.md lists."""


def test_a_report_holds_all_fields_that_are_promised(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report = Report("news", statistics=Statistics(path=("rp", "n1"), output_times=((90_000, 1.5),)))
    report.write(file)
    told = json.loads(file.read_text())
    assert told.keys() == PROMISED
    assert (told["content"], told["path"], told["output_times"]) == ("news", ["rp", "n1"], [[90_000, 1.5]])
    assert told["join_ms"] is None
    assert list(tmp_path.iterdir()) == [file]


def test_it_replaces_what_was_there_and_is_only_written_if_wanted(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    Report("news").write_if(None)
    assert file.read_text() == "old"
    Report("news").write_if(file)
    assert json.loads(file.read_text())["content"] == "news"


@pytest.mark.parametrize("name", ["missing/report.json", ".", "folder"])
def test_where_it_cannot_be_written_the_user_is_told_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot write the report"):
        Report("news").write(tmp_path / name)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_failing_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    file = tmp_path / "report.json"
    file.write_text("old")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_whole(file, "new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=f"cannot write the report {pipe}"):  # nobody reads it
        write_whole(pipe, "unread")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
    assert pipe.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_symbolic_link_stays_one_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    file, link = tmp_path / "disk" / "report.json", tmp_path / "latest.json"
    link.symlink_to(file)
    for text in ("old", "new"):
        write_whole(link, text)
        assert (link.is_symlink(), file.read_text()) == (True, text)
