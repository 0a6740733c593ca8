"""How the tools' commands end: an error is one line and its status, and a signal ends what they have started.

The programs that a tool starts have process groups of their own, so even a closed terminal must end them by
way of the tool.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from mcast.errors import McastError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGINT, too: whoever is started in the background by a shell script inherits that it is ignored."""
INTERRUPTED = 130
"""The exit status of a command that a signal has ended, as shells have it for SIGINT."""


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Make each of SIGNALS a KeyboardInterrupt, while entered."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_command(name: str, body: Callable[[], int]) -> int:
    """Run a command's body; return its exit status. What it has started is ended by its `with` blocks."""
    with signals_interrupt():
        try:
            return body()
        except McastError as error:
            print(f"{name}: error: {error}", file=sys.stderr)
            return error.exit_status
        except KeyboardInterrupt:
            print(f"\n{name}: stopped by the user; everything is ended", file=sys.stderr)
            return INTERRUPTED
