"""Replay a trace of `mcast-node --trace FILE` (or `mcast-client`) against the decisions of today's code.

    python tools/replay_trace.py FILE

prints each step at which this code decides otherwise than the program did that wrote the trace.
Status 0: nowhere; 1: somewhere; 2: it is no trace, or it cannot be read.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from mcast.overlay.trace import Difference, Json, TraceError, replay, seed_of  # from this checkout


def read_lines(path: Path) -> Iterator[Json]:
    """Return the lines of a trace. Raises OSError and TraceError.

    The last line may be cut off, as the program may have been killed while it wrote.
    """
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError:
            if number == len(lines) > 1:
                return
            raise TraceError(f"line {number} is no JSON: {line[:40]!r}") from None


def describe(difference: Difference) -> str:
    """Return a difference as lines for people."""
    lines = [f"line {difference.line}: {difference.event}"]
    lines += [f"  - {action}" for action in difference.recorded if action not in difference.replayed]
    lines += [f"  + {action}" for action in difference.replayed if action not in difference.recorded]
    if len(lines) == 1:
        lines.append("  the same actions in another order")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Replay one file."""
    parser = argparse.ArgumentParser(description="Replay a node's trace against today's decisions.")
    parser.add_argument("file", type=Path, help="what --trace has written")
    path: Path = parser.parse_args(argv).file
    try:
        lines = list(read_lines(path))
        chance = random.Random(seed_of(lines[0] if lines else {}))
        differences = [describe(difference) for difference in replay(lines, chance)]
    except (TraceError, UnicodeDecodeError) as error:
        print(f"replay_trace: error: {path} is no trace: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"replay_trace: error: {path}: {error.strerror}", file=sys.stderr)
        return 2
    print(*differences, sep="\n", end="\n" if differences else "")
    print(f"{len(lines) - 1} steps, {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
