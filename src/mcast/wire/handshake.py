"""The handshake: who is at the other end, and does it know the key? (docs/protocol.md, "Handshake")

Where the programs share a key, every control connection begins with it; both ends speak first, at once:

    dialler  --GREETING-->   listener    who I am, whom I look for, a nonce
    dialler  <--CHALLENGE--  listener    who I am, a nonce
    dialler  --PROOF-->      listener    one proof for each key that I know
    dialler  <--WELCOME--    listener    the proof that I know that key, too
             <--REFUSAL--                at any moment: why not, and the connection is closed

Without keys nothing of it is sent but the REFUSAL, which tells whoever has called the wrong program, or calls
without a key. The proofs themselves are made in `mcast.net.handshake`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from mcast.errors import WireError
from mcast.wire.codec import EXPLANATION, U8, Reader, enumerated, fixed
from mcast.wire.fields import FlaggedRecord, Schema, by_flag, one, read_flag, some

HANDSHAKE_VERSION = 1
NONCE_SIZE = 32
PROOF_SIZE = 32  # of HMAC-SHA256
MAX_PROOFS = 4  # a sender has one for each of its keys: two while they are changed over


class HandshakeFlag(IntEnum):
    GREETING = 1
    CHALLENGE = 2
    PROOF = 3
    WELCOME = 4
    REFUSAL = 5


class Role(IntEnum):
    """Which program is at one end of a connection."""

    BOOTSTRAPPER = 1
    NODE = 2
    SERVER = 3
    CLIENT = 4

    @property
    def program(self) -> str:
        """Return its name as people write it."""
        return f"mcast-{'bootstrap' if self is Role.BOOTSTRAPPER else self.name.lower()}"


class HandshakePacket(FlaggedRecord):
    """Base of the handshake's packets."""

    __slots__ = ()

    FLAG: ClassVar[HandshakeFlag]


@dataclass(frozen=True, slots=True)
class Greeting(HandshakePacket):
    """Whoever has connected says who it is."""

    FLAG = HandshakeFlag.GREETING
    SCHEMA = Schema(
        one(1, "version", U8),
        one(2, "role", enumerated(Role)),
        one(3, "wanted", enumerated(Role)),
        one(4, "nonce", fixed(NONCE_SIZE)),
    )

    version: int
    role: Role
    wanted: Role  # which program it looks for
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Challenge(HandshakePacket):
    """Whoever listens says who it is, and that nothing is answered without a key."""

    FLAG = HandshakeFlag.CHALLENGE
    SCHEMA = Schema(
        one(1, "version", U8),
        one(2, "role", enumerated(Role)),
        one(4, "nonce", fixed(NONCE_SIZE)),
    )

    version: int
    role: Role
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Proof(HandshakePacket):
    """The caller knows these keys."""

    FLAG = HandshakeFlag.PROOF
    SCHEMA = Schema(some(5, "proofs", fixed(PROOF_SIZE), most=MAX_PROOFS))

    proofs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Welcome(HandshakePacket):
    """The listener knows one of them. From here on the connection carries what it was made for."""

    FLAG = HandshakeFlag.WELCOME
    SCHEMA = Schema(one(6, "proof", fixed(PROOF_SIZE)))

    proof: bytes


@dataclass(frozen=True, slots=True)
class Refusal(HandshakePacket):
    """Nothing is answered on this connection, which is closed; the text is for people."""

    FLAG = HandshakeFlag.REFUSAL
    SCHEMA = Schema(one(7, "text", EXPLANATION))

    text: str


HandshakeMessage = Greeting | Challenge | Proof | Welcome | Refusal

_PACKETS = by_flag(Greeting, Challenge, Proof, Welcome, Refusal)


def unpack(body: bytes) -> HandshakeMessage:
    """Read the body of a handshake frame. Raises WireError, and nothing else.

    It is an UnknownMessageError if only a newer version can read the message.
    """
    reader = Reader(body)
    flag = read_flag(reader, HandshakeFlag)
    try:
        packet: HandshakeMessage = _PACKETS[flag].read(reader)
    except WireError as error:
        raise type(error)(f"{flag.name}: {error}") from None
    return packet
