"""`make demo`: the whole system on one machine, shown and checked.

Its parts also carry the tests of whole topologies.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; return its exit status."""
    from tools.demo.main import run  # late: the tests use the parts without the whole

    return run(argv)


__all__ = ["main"]
