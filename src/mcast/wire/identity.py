"""Who somebody is: a node is its name in the bootstrapper's file, a client 16 random bytes.

"The one it came from", paths and exclusions compare identities and never addresses, because a host
has several addresses. Names end up in logs and tables, so they hold printable characters only.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from mcast.errors import WireError
from mcast.wire.codec import Codec, Reader, Writer, enumerated, packed

MAX_NODE_NAME = 64  # bytes of UTF-8: short enough for a path of a hundred nodes in one frame
CLIENT_ID_SIZE = 16  # bytes: the caller draws them at random, so two clients never meet in one


class IdentityKind(IntEnum):
    NODE = 0
    CLIENT = 1


_KIND = enumerated(IdentityKind)


def check_node_name(name: str) -> str:
    """Return the name if a node can bear it.

    Raises ValueError, which says why, for any other.
    """
    if not 1 <= len(name.encode()) <= MAX_NODE_NAME:
        raise ValueError(f"a node's name has 1 to {MAX_NODE_NAME} bytes, not {len(name.encode())}")
    if not name.isprintable():
        raise ValueError(f"a node's name is printable, unlike {name!r}")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A node or a client. Raises ValueError if the value does not suit the kind."""

    kind: IdentityKind
    value: bytes

    def __post_init__(self) -> None:
        if self.kind is IdentityKind.NODE:
            check_node_name(self.value.decode())
        elif len(self.value) != CLIENT_ID_SIZE:
            raise ValueError(f"a client's identity has {CLIENT_ID_SIZE} bytes, not {len(self.value)}")

    @classmethod
    def node(cls, name: str) -> Self:
        return cls(IdentityKind.NODE, name.encode())

    @classmethod
    def client(cls, raw: bytes) -> Self:
        return cls(IdentityKind.CLIENT, raw)

    @property
    def name(self) -> str:
        if self.kind is IdentityKind.NODE:
            return self.value.decode()
        return f"client-{self.value[:4].hex()}"

    def __str__(self) -> str:
        return self.name

    def write(self, writer: Writer) -> None:
        writer.u8(self.kind)
        writer.u8(len(self.value))
        writer.raw(self.value)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        kind, value = _KIND.read(reader), reader.raw(reader.u8())
        try:
            return cls(kind, value)
        except ValueError as error:  # bytes that are no UTF-8 are one, too
            raise WireError(f"no identity: {error}") from None


def _read_node_name(reader: Reader) -> str:
    try:
        return check_node_name(reader.rest().decode())
    except ValueError as error:
        raise WireError(f"no node's name: {error}") from None


IDENTITY: Codec[Identity] = packed(Identity)

NODE_NAME: Codec[str] = Codec(
    lambda writer, name: writer.raw(check_node_name(name).encode()), _read_node_name
)
"""A node's name that fills a whole field."""
