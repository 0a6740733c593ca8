"""Everything that mcast raises on purpose.

    McastError                one clear line for the user, and the exit status that goes with it
    ├── ConfigError       2   usage, configuration, a missing tool, a port in use
    ├── NotFoundError     3   the rendezvous says that the content does not exist
    ├── UnreachableError  4   nobody answers, or no way to the content was found in time
    ├── StreamEndedError  5   the stream ended for another reason than the user's, or an output failed
    └── WireError         1   a peer sent bytes that the protocol does not allow
        └── UnknownMessageError  a peer sent a message that a newer version has brought

Any other exception is a bug: `main` logs its traceback and the process ends with status 1.
"""

from typing import ClassVar


class McastError(Exception):
    """Say in one line what went wrong, where, and how to mend it."""

    exit_status: ClassVar[int] = 1


class ConfigError(McastError):
    """The user's options, files or machine cannot be used as they are."""

    exit_status = 2


class NotFoundError(McastError):
    """The content does not exist: the rendezvous point has answered `absent`."""

    exit_status = 3


class UnreachableError(McastError):
    """Nobody answered, or no way to the content was found in time."""

    exit_status = 4


class StreamEndedError(McastError):
    """The stream ended, and it was not the user who ended it."""

    exit_status = 5


class WireError(McastError):
    """A peer's bytes break the protocol. Our own mistakes are never dressed up as this."""


class UnknownMessageError(WireError):
    """A peer's message means nothing to this version: it is skipped, and its connection stays open.

    Whoever reads a connection counts it, logs it, and goes on with the next message.
    """
