"""What the server's own work costs: CPU per datagram of building trains, in the first and in later rounds.

    python3 bench/trains.py FILE [--packets 7]

FILE is prepared as `mcast-server` would (in a temporary cache). Later rounds of a looped content cost
more, as timestamps and counters are moved on.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from mcast.media.source.cache import Cache  # noqa: E402
from mcast.media.source.encoding import DEFAULT_QUALITY  # noqa: E402
from mcast.media.source.prepare import prepare  # noqa: E402
from mcast.media.source.prepared import Prepared  # noqa: E402


def seconds_of_round(content: Prepared, number: int) -> float:
    """Build all trains of one round; return the CPU time that took."""
    at, end = number * content.datagrams, (number + 1) * content.datagrams
    began = time.process_time()
    while at < end:
        at = content.train_at(at, ssrc=1).next
    return time.process_time() - began


def no_progress(_: object) -> None:
    """Say nothing while the file is prepared."""


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--packets", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        entry = prepare(
            options.file,
            DEFAULT_QUALITY,
            Cache(Path(folder)),
            cancelled=lambda: False,
            on_progress=no_progress,
        )
        with Prepared(entry, options.packets, loop=True) as content:
            lasts = content.period / 90_000
            print(f"{content.datagrams} datagrams, {lasts:.1f} s, {content.bit_rate / 1e6:.2f} Mbit/s")
            for number, name in ((0, "first round"), (1, "later rounds")):
                cpu = seconds_of_round(content, number)
                each = cpu / content.datagrams * 1e6
                print(
                    f"{name:<13}{each:6.2f} us per datagram, {100 * cpu / lasts:.2f} % of a core in real time"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
