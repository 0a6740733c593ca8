"""The handshake's decisions, without sockets: two ends wired to each other."""

import dataclasses
import hmac
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.config.key_file import KeyRing
from mcast.net.handshake import (
    DIALLER,
    LISTENER,
    Answering,
    Credentials,
    Dialling,
    HandshakeError,
    prove,
)
from mcast.wire.handshake import Challenge, Greeting, HandshakeMessage, Proof, Refusal, Role, Welcome

OLD, NEW, FOREIGN = b"o" * 32, b"n" * 32, b"f" * 32


def dialling(*keys: bytes, role: Role = Role.CLIENT, wanted: Role = Role.NODE, nonce: int = 1) -> Dialling:
    return Dialling(Credentials(role, KeyRing(keys)), wanted, bytes([nonce]) * 32)


def answering(*keys: bytes, role: Role = Role.NODE, nonce: int = 2) -> Answering:
    return Answering(Credentials(role, KeyRing(keys)), bytes([nonce]) * 32)


def talk(caller: Dialling, listener: Answering) -> None:
    """Hand each end what the other says, until nobody says anything. Raises what either end raises."""
    to_listener: deque[HandshakeMessage] = deque([caller.greeting])
    to_caller: deque[HandshakeMessage] = deque([listener.challenge])
    while to_listener or to_caller:
        if to_caller and (answer := caller.on_message(to_caller.popleft())):
            to_listener.append(answer)
        if to_listener and (welcome := listener.on_message(to_listener.popleft())):
            to_caller.append(welcome)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((OLD,), (OLD,)),
        ((OLD,), (OLD, NEW)),
        ((OLD, NEW), (OLD,)),
        ((NEW,), (OLD, NEW)),
        ((OLD, NEW), (NEW, OLD)),
    ],
)
def test_two_ends_that_share_a_key_get_together(ours: tuple[bytes, ...], theirs: tuple[bytes, ...]) -> None:
    caller, listener = dialling(*ours), answering(*theirs)
    talk(caller, listener)
    assert caller.done
    assert listener.done


def test_two_ends_without_a_common_key_do_not_and_both_are_told() -> None:
    listener = answering(OLD, NEW)
    with pytest.raises(HandshakeError, match="the key of that mcast-client is none of ours") as caught:
        talk(dialling(FOREIGN), listener)
    assert caught.value.refusal is not None
    assert "the key is not that of this mcast-node" in caught.value.refusal
    assert not listener.done


def test_who_says_something_else_instead_of_a_proof_is_told_that_a_key_is_needed() -> None:
    for message in (Welcome(bytes(32)), Refusal("x"), Proof((bytes(32),))):
        with pytest.raises(HandshakeError) as caught:
            answering(OLD).on_message(message)
        assert caught.value.refusal == "this mcast-node answers only who knows its key: give --key-file FILE"


def test_a_listener_that_does_not_know_the_key_is_found_out() -> None:
    caller = dialling(OLD)
    caller.on_message(answering(FOREIGN).challenge)
    with pytest.raises(HandshakeError, match="does not know our key"):
        caller.on_message(Welcome(bytes(32)))
    assert not caller.done


def test_a_proof_that_is_sent_back_proves_nothing() -> None:
    caller = dialling(OLD)
    proof = caller.on_message(answering(FOREIGN).challenge)
    assert proof is not None
    with pytest.raises(HandshakeError):
        caller.on_message(Welcome(proof.proofs[0]))


def test_a_proof_that_was_heard_elsewhere_proves_nothing() -> None:
    caller, first, second = dialling(OLD), answering(OLD, nonce=2), answering(OLD, nonce=3)
    proof = caller.on_message(first.challenge)
    assert proof is not None
    second.on_message(caller.greeting)
    with pytest.raises(HandshakeError):
        second.on_message(proof)


def test_whatever_was_said_is_part_of_the_proof() -> None:
    greeting = Greeting(1, Role.CLIENT, Role.NODE, bytes(32))
    challenge = Challenge(1, Role.NODE, bytes(32))
    proofs = [
        prove(OLD, end, said, asked)
        for end in (DIALLER, LISTENER)
        for said in (
            greeting,
            dataclasses.replace(greeting, version=2),
            dataclasses.replace(greeting, role=Role.NODE),
            dataclasses.replace(greeting, wanted=Role.SERVER),
            dataclasses.replace(greeting, nonce=b"x" * 32),
        )
        for asked in (
            challenge,
            dataclasses.replace(challenge, version=2),
            dataclasses.replace(challenge, role=Role.SERVER),
            dataclasses.replace(challenge, nonce=b"x" * 32),
        )
    ]
    assert len(set(proofs)) == len(proofs) == 2 * 5 * 4


def test_a_proof_is_what_the_page_says() -> None:
    greeting = Greeting(1, Role.CLIENT, Role.NODE, bytes(range(32)))
    challenge = Challenge(1, Role.NODE, bytes(range(0x80, 0xA0)))
    text = b"mcast handshake\0D" + b"\1\4\2" + bytes(range(32)) + b"\1\2" + bytes(range(0x80, 0xA0))
    assert len(text) == 86
    expected = "33ce4d31d271a068d6b9d924b1f52ef38b8659e9794a11706b44e9427ecafbbb"
    assert hmac.new(b"k" * 32, text, "sha256").hexdigest() == expected
    assert prove(b"k" * 32, DIALLER, greeting, challenge).hex() == expected


def test_who_looks_for_another_program_is_told_which_one_this_is() -> None:
    with pytest.raises(HandshakeError, match="it looks for a mcast-node") as caught:
        answering(OLD, role=Role.SERVER).on_message(dialling(OLD, wanted=Role.NODE).greeting)
    assert caught.value.refusal == "this is a mcast-server, not a mcast-node: check the address"


def test_nothing_is_proven_to_another_program_than_the_one_that_is_wanted() -> None:
    with pytest.raises(HandshakeError, match="it is a mcast-server, not a mcast-node"):
        dialling(OLD, wanted=Role.NODE).on_message(answering(OLD, role=Role.SERVER).challenge)


def test_a_refusal_is_told_in_its_own_words() -> None:
    with pytest.raises(HandshakeError, match="turned away: for this reason"):
        dialling(OLD).on_message(Refusal("for this reason"))


ORDERLESS = st.lists(
    st.sampled_from(["greeting", "challenge", "proof", "welcome", "refusal"]), min_size=1, max_size=5
)


@given(ORDERLESS)
def test_no_order_of_messages_without_a_key_gets_anybody_in(names: list[str]) -> None:
    messages: dict[str, HandshakeMessage] = {
        "greeting": dialling(FOREIGN).greeting,
        "challenge": answering(FOREIGN).challenge,
        "proof": Proof((bytes(32), b"x" * 32)),
        "welcome": Welcome(bytes(32)),
        "refusal": Refusal("no"),
    }
    for end in (dialling(OLD), answering(OLD)):
        for name in names:
            try:
                end.on_message(messages[name])
            except HandshakeError:
                break
        assert not end.done
