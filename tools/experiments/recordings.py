"""Are recordings complete, and do they hold the same?

Complete: a piece of what the server sent, byte for byte, that begins with a keyframe and that ffmpeg
decodes without a word; and the client itself counts no loss. Datagrams that were repaired come late and
perhaps twice, so those counts are told and not judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mcast.media.source.prepared import Prepared
from tools.demo.check import Sent, decode_problems, head_problems, origin_problems, size_problems
from tools.experiments.deployment import Viewer
from tools.experiments.verdict import Verdict

_ZERO = ("lost_datagrams", "continuity_errors", "dropped_bytes", "exit_status")


@dataclass(frozen=True, slots=True)
class Piece:
    """One recording and the number of its first datagram."""

    first: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Common:
    """What several recordings have in common."""

    size: int  # bytes that all should hold
    identical: bool


def problems_of(viewer: Viewer, sent: Sent, seconds: float) -> list[str]:
    """Return all that is wrong with a recording; nothing if it is complete."""
    figures = viewer.figures
    counted = [f"{key} {figures[key]}" for key in _ZERO if figures[key]]
    if figures["duration_s"] < seconds:
        counted.append(f"{figures['duration_s']:.1f} s of {seconds:.1f} s")
    data = viewer.recording.read_bytes()
    if not data:
        return [*counted, "nothing was recorded"]
    return [
        *counted,
        *size_problems(figures, len(data)),
        *head_problems(data),
        *origin_problems(data, sent, int(figures["first_number"])),
        *decode_problems(data),
    ]


def piece_of(viewer: Viewer) -> Piece:
    return Piece(int(viewer.figures["first_number"]), viewer.recording.read_bytes())


def common_part(pieces: Mapping[str, Piece], sent: Sent) -> Common:
    """Compare recordings byte for byte from the first datagram that all have to the end of the shortest."""
    start = max(piece.first for piece in pieces.values())
    offsets = {name: sent_between(sent, piece.first, start) for name, piece in pieces.items()}
    size = min(len(piece.data) - offsets[name] for name, piece in pieces.items())
    parts = [piece.data[offsets[name] : offsets[name] + size] for name, piece in pieces.items()]
    return Common(max(0, size), size > 0 and all(one == other for one, other in pairwise(parts)))


def sent_between(sent: Sent, first: int, end: int) -> int:
    """Count the bytes of TS that the server sends as the datagrams from `first` up to `end`."""
    with Prepared(sent.entry, sent.datagram_packets, loop=True) as prepared:
        return len(prepared.payload(first, end))


def judge_recordings(
    verdict: Verdict, viewers: Mapping[str, Viewer], sent: Mapping[str, Sent], seconds: float
) -> None:
    """Check each recording by itself, and those of one content against each other."""
    for name, viewer in viewers.items():
        problems = problems_of(viewer, sent[viewer.content], seconds)
        said = "; ".join(problems) or _praise(viewer.figures)
        verdict.check(f"{name}'s recording of {viewer.content}", said, "complete, nothing lost", not problems)
    for content in dict.fromkeys(viewer.content for viewer in viewers.values()):
        pieces = {name: piece_of(viewer) for name, viewer in viewers.items() if viewer.content == content}
        if len(pieces) > 1:
            common = common_part(pieces, sent[content])
            said = f"{common.size / 1e6:.2f} MB, {'identical' if common.identical else 'DIFFERENT'}"
            what = f"{content}: common part of {', '.join(pieces)}"
            verdict.check(what, said, "identical byte for byte", common.identical)


def _praise(figures: Mapping[str, Any]) -> str:
    repaired = figures["repaired_datagrams"]
    parts = [f"{figures['duration_s']:.1f} s", f"{figures['ts_packets']} TS packets"]
    return ", ".join([*parts, f"{repaired} datagrams repaired"] if repaired else parts)
