"""A disk that is really full (ENOSPC): the client says so in a line, and what it has recorded plays."""

from pathlib import Path

import pytest

from machine import on_small_disk
from mcast.wire.mpegts import PACKET
from media.source.transport import complaints
from tools.demo.processes import role_command
from topology.harness import START, Topology

pytestmark = pytest.mark.mounts


@pytest.mark.parametrize(("output", "kib"), [("news.ts", 64), ("news", 128)], ids=["a file", "segments"])
def test_a_full_disk_is_one_clear_line_and_what_was_recorded_plays(
    line: Topology, tmp_path: Path, output: str, kib: int
) -> None:
    disk, copies = tmp_path / "disk", tmp_path / "copies"
    disk.mkdir()
    client = role_command(
        *("client", "--content", "clip", "--neighbour", line.addresses.of("n3")),
        *("--output", str(disk / output), *(("--segment", "1") if output == "news" else ())),
    )
    program = line.run(f"full-{output}", *on_small_disk(disk, kib, copies, client))
    assert program.wait(START) == 5, program.text()
    said = program.text().splitlines()[-1]
    assert f"cannot write to {disk / output}: No space left on device after" in said
    assert said.endswith("free some space or choose another --output")
    assert "Traceback" not in program.text()
    assert list(disk.iterdir()) == [], "nobody else has seen that disk"
    recorded = sorted(copies.rglob("*.ts"))
    assert sum(file.stat().st_size for file in recorded) > kib * 1024 // 2
    for file in recorded:
        assert file.stat().st_size % PACKET == 0
        assert complaints(file) == ""
    if output == "news":
        listed = (copies / "news" / "index.m3u8").read_text().splitlines()
        names = [file.name for file in recorded]
        assert [each for each in listed if each.endswith(".ts")] in (
            names[:-1],
            names,
        )  # there is room, or none
