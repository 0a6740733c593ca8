"""Long work that nobody wants any more.

Whoever reads a whole file, or waits for a process that does, asks all the time whether the result is still
wanted. So a server that is told to end does so at once, however large its files are.
"""

from collections.abc import Callable
from typing import TypeAlias

Cancelled: TypeAlias = Callable[[], bool]
"""Tells whether the result is not wanted any more. Asked often, from the thread that works."""


class CancelledError(Exception):
    """The work was asked to stop."""


def never() -> bool:
    """Let the work go on to its end."""
    return False


def check_wanted(cancelled: Cancelled) -> None:
    """Raise CancelledError if the result is not wanted any more."""
    if cancelled():
        raise CancelledError
