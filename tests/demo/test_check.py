"""The judge of recordings: what is whole passes, and whatever is wrong is told."""

import json
import random
from pathlib import Path

import pytest

from demo.tiny import TINY
from machine import need_ffmpeg
from mcast.wire.mpegts import NULL_PACKET, PACKET, starts_with_pat
from tools.demo import check
from tools.demo.check import (
    Sent,
    decode_problems,
    head_problems,
    origin_problems,
    problems_of,
    sent_by,
    without_last_picture,
    without_nulls,
)
from tools.demo.contents import make


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    need_ffmpeg()
    directory = tmp_path_factory.mktemp("tiny")
    return sent_by(make(TINY, directory), directory / "cache")


def keyframes(stream: bytes) -> list[int]:
    return [at for at in range(0, len(stream), PACKET) if starts_with_pat(stream, at)]


def test_any_piece_from_a_keyframe_on_is_whole(sent: Sent) -> None:
    stream = sent.first_round
    for start in keyframes(stream)[:3]:
        data = stream[start : start + 150 * PACKET]
        assert head_problems(data) == []
        assert origin_problems(data, sent, 0) == []
        assert decode_problems(data) == []


def test_a_recording_that_goes_on_over_the_seam_is_whole(sent: Sent) -> None:
    data = sent.payload(0, len(sent.first_round) + 200 * PACKET)
    assert data[len(sent.first_round) :] != data[: 200 * PACKET]  # its clock goes on
    assert origin_problems(data, sent, 0) == []
    assert decode_problems(data) == []


def test_null_packets_that_fill_gaps_are_no_fault(sent: Sent) -> None:
    stream = sent.first_round
    data = stream[: 50 * PACKET] + NULL_PACKET * 2 + stream[50 * PACKET : 90 * PACKET]
    assert without_nulls(data) == stream[: 90 * PACKET]
    assert origin_problems(data, sent, 0) == []


@pytest.mark.parametrize("fault", ["lost", "doubled", "exchanged", "altered", "foreign"])
def test_every_kind_of_damage_is_found(fault: str, sent: Sent) -> None:
    stream = sent.first_round
    packets = [stream[at : at + PACKET] for at in range(0, 200 * PACKET, PACKET)]
    at = random.Random(fault).randrange(20, 180)
    if fault == "lost":
        del packets[at]
    elif fault == "doubled":
        packets.insert(at, packets[at])
    elif fault == "exchanged":
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    elif fault == "altered":
        packets[at] = packets[at][:100] + bytes([packets[at][100] ^ 1]) + packets[at][101:]
    else:
        packets[at:] = [b"\x47" + bytes(187)] * 10
    (problem,) = origin_problems(b"".join(packets), sent, 0)
    assert "differs" in problem
    told = int(problem.split()[-2])
    assert at <= told <= at + 2


@pytest.mark.parametrize(("start", "end"), [(7, 100), (1, 60)])
def test_a_recording_that_does_not_begin_with_a_keyframe_is_told(start: int, end: int, sent: Sent) -> None:
    assert head_problems(sent.first_round[start * PACKET : end * PACKET])


def test_a_piece_of_a_packet_is_no_transport_stream(sent: Sent) -> None:
    assert "no transport stream" in head_problems(sent.first_round[: 100 * PACKET + 5])[0]
    assert "no transport stream" in head_problems(b"")[0]


def test_ffmpeg_tells_of_a_hole(sent: Sent) -> None:
    stream = sent.first_round
    assert decode_problems(stream[: 60 * PACKET] + stream[75 * PACKET : 250 * PACKET])


def test_only_the_last_picture_is_cut_off(sent: Sent) -> None:
    stream = sent.first_round
    end = keyframes(stream)[2]
    assert without_last_picture(stream[: end + 3 * PACKET]) == stream[:end]
    assert without_last_picture(NULL_PACKET * 5) == NULL_PACKET * 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"lost_datagrams": 2}, "lost_datagrams 2"),
        ({"duplicate_datagrams": 1}, "duplicate_datagrams 1"),
        ({"reordered_datagrams": 3}, "reordered_datagrams 3"),
        ({"continuity_errors": 4}, "continuity_errors 4"),
        ({"exit_status": 5, "exit_reason": "gone"}, "gone"),
        ({"duration_s": 0.5}, "0.5 s of 2 s"),
        ({"outputs": [{"bytes": 1}]}, "reports 1 bytes"),
        ({"bytes": 1}, "of 1 bytes that were put out"),
        ({"bytes": 10**9}, "of 1000000000 bytes that were put out"),
    ],
)
def test_what_the_client_reports_counts(
    changes: dict[str, object], told: str, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "decode_problems", lambda _: [])  # ffmpeg has its own tests
    recording, report = tmp_path / "a.ts", tmp_path / "a.json"
    recording.write_bytes(sent.first_round)
    figures: dict[str, object] = {
        "first_number": 0, "bytes": len(sent.first_round), "duration_s": 2.0,
        "exit_status": 0, "exit_reason": "", "outputs": [{"bytes": len(sent.first_round)}],
        "lost_datagrams": 0, "duplicate_datagrams": 0, "reordered_datagrams": 0, "continuity_errors": 0,
    }  # fmt: skip
    report.write_text(json.dumps({**figures, **changes}))
    found = problems_of(recording, report, sent, 2)
    assert told in " ".join(found)
    assert bool(found) == bool(told)


def test_a_missing_recording_is_told(sent: Sent, tmp_path: Path) -> None:
    assert "no recording" in problems_of(tmp_path / "a.ts", tmp_path / "a.json", sent, 2)[0]
