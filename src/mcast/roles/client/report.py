"""What a client says of its stream when it ends: `--report FILE`, one JSON object.

Times are milliseconds and begin with the request. Counts of datagrams are those of the final
output: `lost_datagrams` never came in time, `duplicate_datagrams` came more than once (the
surplus), `reordered_datagrams` came after a higher number and were put back into order.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcast.errors import ConfigError


@dataclass(slots=True)
class Report:
    """The figures of one client's run; None where it did not come so far."""

    content: str
    path: list[str] = field(default_factory=list)  # the rendezvous point first, the neighbour last
    request_id: str | None = None
    ssrc: int | None = None
    first_number: int | None = None  # of the first datagram that was put out
    join_ms: float | None = None  # start of the request to the first media
    first_keyframe_ms: float | None = None
    duration_s: float = 0.0
    ts_packets: int = 0
    bytes: int = 0
    lost_datagrams: int = 0
    duplicate_datagrams: int = 0
    reordered_datagrams: int = 0
    repaired_datagrams: int = 0
    dropped_bytes: int = 0  # the output (a paused player) took them not
    continuity_errors: int = 0
    latency_ms: float | None = None  # median delay of the output behind the earliest arrival of its RTP time
    playout_latency_ms: int = 0  # --latency
    receive_buffer_bytes: int = 0
    output_times: list[tuple[int, float]] = field(
        default_factory=list
    )  # RTP time, Unix seconds: about one a second
    exit_reason: str = ""
    exit_status: int = 0

    def write(self, file: Path) -> None:
        """Write the file whole or not at all. Raises ConfigError if it cannot be written."""
        write_whole(file, json.dumps(self.as_dict(), indent=2) + "\n")

    def write_if(self, file: Path | None) -> None:
        """Write the file if one is wanted. Raises ConfigError."""
        if file is not None:
            self.write(file)

    def as_dict(self) -> Mapping[str, Any]:
        """Return what the JSON holds."""
        return asdict(self)


def write_whole(file: Path, text: str) -> None:
    """Write a text file so that nobody ever sees half of it. Raises ConfigError."""
    part = file.parent / f".{file.name}.{os.getpid()}.part"
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigError(f"cannot write the report {file}: {error.strerror or error}") from None
