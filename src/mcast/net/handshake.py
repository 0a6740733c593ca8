"""The decisions of a handshake (docs/protocol.md, "Handshake"): pure, nonces are handed in.

Both ends prove that they know a key, and nobody proves anything to himself: a proof is an HMAC-SHA256, under
the key, of which end speaks and of all that both have said, versions, roles and nonces included. So a proof
is good for one connection and one direction. The caller goes first, as strangers reach a listener more easily
than they become one, and a proof is what a guesser of weak keys would need.

What this does not do: it does not encrypt, and whoever can change packets on the way can take the connection
over afterwards. TLS (`ssl.MemoryBIO`) will stand between the socket and the frames: `Connection` feeds its
decoder in one place, and writes in one.
"""

from dataclasses import dataclass, field

from mcast.config.key_file import NO_KEYS, KeyRing
from mcast.errors import UnreachableError
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import Message
from mcast.wire.handshake import (
    HANDSHAKE_VERSION,
    Challenge,
    Greeting,
    HandshakeMessage,
    Proof,
    Refusal,
    Role,
    Welcome,
)

PREFIX = b"mcast handshake\0"
DIALLER, LISTENER = b"D", b"L"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this process is, and the keys that it knows."""

    role: Role
    keys: KeyRing = field(default=NO_KEYS)


class HandshakeError(UnreachableError):
    """The two ends do not get together; the text says why, as this side's user reads it."""

    def __init__(self, text: str, refusal: str | None = None) -> None:
        """`refusal` is what the other side is told, if it is to be told anything."""
        super().__init__(text)
        self.refusal = refusal


def prove(key: bytes, end: bytes, greeting: Greeting, challenge: Challenge) -> bytes:
    """Return the proof that an end (DIALLER or LISTENER) knows the key."""
    said = (
        bytes((greeting.version, greeting.role, greeting.wanted)) + greeting.nonce
        + bytes((challenge.version, challenge.role)) + challenge.nonce
    )  # fmt: skip
    import hmac  # here, as it loads OpenSSL: 4 MiB that no process without a key needs

    return hmac.digest(key, PREFIX + end + said, "sha256")


def _is_same(given: bytes, expected: bytes) -> bool:
    """Compare without telling, by the time it takes, how much is right."""
    import hmac  # as above

    return hmac.compare_digest(given, expected)


class Dialling:
    """The handshake of whoever has connected."""

    def __init__(self, credentials: Credentials, wanted: Role, nonce: bytes) -> None:
        """`nonce` is drawn for this connection alone; `greeting` is to be sent at once."""
        self._keys = credentials.keys.keys
        self.greeting = Greeting(HANDSHAKE_VERSION, credentials.role, wanted, nonce)
        self._challenge: Challenge | None = None
        self.done = False

    def on_message(self, message: Message) -> Proof | None:
        """Take in what the listener says; return what to answer. Raises HandshakeError."""
        match message:
            case Challenge() if self._challenge is None:
                return self._on_challenge(message)
            case Welcome() if self._challenge is not None and not self.done:
                self._on_welcome(message, self._challenge)
                return None
            case Refusal():
                raise HandshakeError(f"turned away: {message.text}")
            case _:
                raise HandshakeError(
                    f"sent {type(message).__name__} instead of proving that it knows the key"
                )

    def _on_challenge(self, challenge: Challenge) -> Proof:
        check_role(challenge.role, self.greeting.wanted)
        self._challenge = challenge
        return Proof(tuple(prove(key, DIALLER, self.greeting, challenge) for key in self._keys))

    def _on_welcome(self, welcome: Welcome, challenge: Challenge) -> None:
        known = (prove(key, LISTENER, self.greeting, challenge) for key in self._keys)
        if not any(_is_same(welcome.proof, proof) for proof in known):
            raise HandshakeError("it does not know our key: is it one of ours?")
        self.done = True


class Answering:
    """The handshake of whoever listens."""

    def __init__(self, credentials: Credentials, nonce: bytes) -> None:
        """`nonce` is drawn for this connection alone; `challenge` is to be sent at once."""
        self._role, self._keys = credentials.role, credentials.keys.keys
        self.challenge = Challenge(HANDSHAKE_VERSION, credentials.role, nonce)
        self._greeting: Greeting | None = None
        self.done = False

    def on_message(self, message: Message) -> Welcome | None:
        """Take in what the caller says; return what to answer. Raises HandshakeError."""
        match message:
            case Greeting() if self._greeting is None:
                if message.wanted is not self._role:
                    raise wrong_program(self._role, message.wanted)
                self._greeting = message
                return None
            case Proof() if self._greeting is not None and not self.done:
                return self._on_proof(message, self._greeting)
            case _:
                raise HandshakeError(
                    "it gives no key: start it with the overlay's --key-file",
                    f"this {self._role.program} answers only who knows its key: give --key-file FILE",
                )

    def _on_proof(self, proof: Proof, greeting: Greeting) -> Welcome:
        for key in self._keys:
            expected = prove(key, DIALLER, greeting, self.challenge)
            if any(_is_same(given, expected) for given in proof.proofs):
                self.done = True
                return Welcome(prove(key, LISTENER, greeting, self.challenge))
        raise HandshakeError(
            f"the key of that {greeting.role.program} is none of ours: compare the --key-file of both",
            f"the key is not that of this {self._role.program}: compare the --key-file of both",
        )


def check_role(found: Role, wanted: Role) -> None:
    """Raise HandshakeError if another program listens than the one that is looked for."""
    if found is not wanted:
        raise HandshakeError(f"it is a {found.program}, not a {wanted.program}: check the address")


def why_turned_away(peer: Endpoint, message: HandshakeMessage) -> str | None:
    """Return what a peer's word means that comes behind the handshake; None: it has no place there."""
    match message:
        case Refusal():
            return f"{peer} turns us away: {message.text}"
        case Challenge():
            return f"{peer} is a {message.role.program} that wants a key: give its --key-file FILE"
        case _:
            return None


def wrong_program(here: Role, wanted: Role) -> HandshakeError:
    """Return the error of a caller who looks for another program than the one that listens here."""
    return HandshakeError(
        f"it looks for a {wanted.program}",
        f"this is a {here.program}, not a {wanted.program}: check the address",
    )


def keyless(here: Role) -> HandshakeError:
    """Return the error of a caller who shows a key to a program that has none."""
    return HandshakeError(
        f"it wants a key proven, and this {here.program} has none: start it with the overlay's --key-file",
        f"this {here.program} was started without --key-file, and cannot prove that it is one of yours",
    )
