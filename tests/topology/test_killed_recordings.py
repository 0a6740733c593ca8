"""A client that records is killed by SIGKILL: whatever is on the disk then plays, and ffmpeg says no word."""

import pytest

from media.source.transport import complaints, packets
from tools.demo.check import head_problems, origin_problems
from tools.demo.processes import wait_until
from topology.harness import Topology

RATE = 250_000 // 8
"""Bytes a second of the tests' contents, a little more or less."""


@pytest.mark.parametrize("moment", [0.7, 1.01])
def test_the_file_of_a_killed_client_decodes_to_its_end(moment: float, line: Topology) -> None:
    client = line.client("n1", "clip")
    client.wait_for_media(round(moment * RATE))
    client.program.kill()
    data = client.recording.read_bytes()
    assert complaints(client.recording) == ""
    assert head_problems(data) == []
    assert origin_problems(data, line.stock.sent("clip"), 0) == []
    frames = [each for each in packets(client.recording) if each[0] == "video"]
    assert len(frames) > 25 * moment / 2


def test_all_files_of_a_killed_recording_in_segments_decode_and_so_does_their_list(line: Topology) -> None:
    folder = line.directory / "killed"
    index = folder / "index.m3u8"
    client = line.client("n1", "clip", "--segment", "0.9", output=str(folder))
    third = folder / "00003.ts"
    wait_until(lambda: third.exists() and third.stat().st_size > RATE / 2, "some of the third file", 30)
    client.program.kill()
    files = sorted(folder.glob("*.ts"))
    assert [complaints(each) for each in files] == ["", "", ""]
    listed = [each for each in index.read_text().splitlines() if not each.startswith("#")]
    assert listed == ["00001.ts", "00002.ts"]
    with index.open("a") as text:
        text.write("#EXT-X-ENDLIST\n")  # else ffmpeg waits for more
    assert complaints(index) == ""
    whole = b"".join(each.read_bytes() for each in files)
    assert origin_problems(whole, line.stock.sent("clip"), 0) == []
