"""Clients of one overlay: few and many, early and late, of all kinds of contents."""

import pytest

from mcast.wire.mpegts import NULL_PID, PACKET, pid_at
from tools.demo.check import ffprobe_streams
from topology.conftest import Build
from topology.harness import MESH, Topology
from topology.test_shapes import one_stream_each


def test_a_single_viewer_gets_every_byte(line: Topology) -> None:
    client = line.client("n3", seconds=2)
    report = client.finish()
    line.assert_complete(client)
    assert (report["first_number"], report["path"]) == (0, ["rp", "n1", "n2", "n3"])
    assert report["duration_s"] >= 2
    assert report["join_ms"] < 2000
    assert report["first_keyframe_ms"] >= report["join_ms"]


def test_a_late_viewer_begins_at_a_keyframe_in_the_middle(line: Topology) -> None:
    early = line.client("n3")
    early.wait_for_media(150_000)  # some three seconds: several keyframes have passed
    late = {at: line.client(at, seconds=1) for at in ("n1", "n3")}
    for client in late.values():
        report = client.finish()
        assert report["first_number"] > 0
        assert report["ssrc"] == line.streams("clip")[0].ssrc
    early.stop()
    line.assert_complete(early, *late.values())


def test_a_viewer_may_wait_for_the_next_keyframe(line: Topology) -> None:
    early = line.client("n3")
    early.wait_for_media(50_000)
    live = line.client("n3", None, "--start", "live", seconds=1)
    live.finish()
    early.stop()
    line.assert_complete(early, live)


def test_two_contents_flow_side_by_side(line: Topology) -> None:
    clients = [line.client(at, content, seconds=2) for at in ("n1", "n3") for content in ("clip", "other")]
    for client in clients:
        client.wait_for_media()
    one_stream_each(line)
    for client in clients:
        client.finish()
    line.assert_complete(*clients)


def test_a_new_stream_begins_when_all_viewers_have_left(line: Topology) -> None:
    first = line.client("n2", seconds=0.5).finish()
    line.wait_idle()
    second = line.client("n2", seconds=0.5).finish()
    assert first["ssrc"] != second["ssrc"]
    assert (first["first_number"], second["first_number"]) == (0, 0)


def test_the_numbers_go_on_over_the_seams_of_a_looping_content(line: Topology) -> None:
    """The content lasts one second: there are five seams in this."""
    client = line.client("n2", "short", seconds=5)
    client.finish()
    line.assert_complete(client)
    sent = line.stock.sent("short").first_round
    assert client.written > 4 * len(sent)


def test_a_content_that_does_not_loop_ends_with_its_last_byte(line: Topology) -> None:
    client = line.client("n3", "once")
    report = client.finish()
    assert "over" in report["exit_reason"]
    line.assert_complete(client)
    assert client.recording.read_bytes() == line.stock.sent("once").first_round
    line.wait_idle()


def test_a_still_picture_flows_without_silence(line: Topology) -> None:
    client = line.client("n2", "still", seconds=3)
    client.finish()
    line.assert_complete(client)
    assert [stream["codec_name"] for stream in ffprobe_streams(client.recording)] == ["h264"]


def test_sound_alone_is_a_content_like_any_other(line: Topology) -> None:
    client = line.client("n2", "tone", seconds=2)
    client.finish()
    line.assert_complete(client)
    assert [stream["codec_name"] for stream in ffprobe_streams(client.recording)] == ["aac"]


def test_a_recording_can_be_written_to_standard_output(line: Topology) -> None:
    client = line.client("n1", seconds=1, output="-")  # the log, here: stdout and stderr together
    report = client.finish()
    assert report["bytes"] > 0
    assert client.program.log.stat().st_size > report["bytes"]


def test_any_player_may_read_the_stream(line: Topology) -> None:
    target = line.directory / "played.ts"
    client = line.client("n1", None, "--player", f"dd of={target} bs=188", seconds=1, player=True)
    report = client.finish()
    assert target.stat().st_size == report["bytes"] > 0
    assert target.read_bytes() in line.stock.sent("clip").first_round


def test_a_player_that_ends_ends_the_client_in_order(line: Topology) -> None:
    client = line.client("n1", None, "--player", "head -c 100000", player=True)
    client.finish()
    line.wait_idle()


def test_twenty_viewers_get_every_byte(build: Build) -> None:
    topology = build(MESH)
    nodes = list(MESH)
    clients = [topology.client(nodes[number % len(nodes)], seconds=4) for number in range(20)]
    for client in clients:
        client.wait_for_media(timeout=40)
    assert len(topology.streams("clip")) == 1
    for client in clients:
        client.finish(timeout=40)
    for client in clients:
        topology.assert_complete(client, decode=client is clients[-1])


def test_datagram_numbers_go_on_over_the_wrap_of_sixteen_bits(build: Build) -> None:
    """One TS packet a datagram: RTP's sequence numbers wrap within seconds."""
    topology = build({"rp": ["n1"], "n1": []}, contents=("wrap",))
    early = topology.client("n1")
    early.wait_for_media(65_536 * PACKET, timeout=60)
    late = topology.client("n1", seconds=1)
    assert late.finish()["first_number"] > 65_536
    report = early.stop()
    data = early.recording.read_bytes()
    assert len(data) // PACKET > 70_000
    assert not any(pid_at(data, at) == NULL_PID for at in range(0, 1000 * PACKET, PACKET))
    assert report["first_number"] == 0
    topology.assert_complete(early, late, decode=False)


@pytest.mark.parametrize("latency", [0, 3000])
def test_the_latency_that_was_asked_for_changes_no_byte(latency: int, line: Topology) -> None:
    client = line.client("n3", None, "--latency", str(latency), seconds=1)
    client.finish()
    line.assert_complete(client)
