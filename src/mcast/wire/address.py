"""Addresses as people write them (`host:port`), as packets carry them where a host may be a name.

Whoever reads one is to dial it, so it is checked where it enters; no name is looked up here.
"""

from collections.abc import Callable

from mcast.errors import ConfigError, WireError
from mcast.hostport import parse_address, parse_host
from mcast.wire.codec import TEXT, Codec, Reader, Writer


def _checked(check: Callable[[str], object]) -> Codec[str]:
    """Return the codec of a text that `check` takes; for any other one it raises ConfigError."""

    def write(writer: Writer, text: str) -> None:
        try:
            check(text)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        TEXT.write(writer, text)

    def read(reader: Reader) -> str:
        text = TEXT.read(reader)
        try:
            check(text)
        except ConfigError as error:
            raise WireError(str(error)) from None
        return text

    return Codec(write, read)


def _check_address(text: str) -> None:
    if not parse_address(text, lowest_port=1).host:
        raise ConfigError(f"'{text}' has no host")


ADDRESS = _checked(_check_address)
"""`host:port` or `[v6]:port`, where somebody listens."""

HOST = _checked(parse_host)
"""A host alone."""
