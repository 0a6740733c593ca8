"""Connections that silence does not end, and what silence is."""

import socket

import pytest

from helpers import wait_until
from mcast.net.calm import Calm, be_calm, heed_silence, is_silent, probe_calmly
from mcast.net.connection import Connection, PeerGone
from mcast.net.tcp import DEAD_PEER_TIMEOUT_MS, silent_seconds
from peers import HELLO, drop_all_that_comes, reset, tcp_pair


def option(connection: Connection, name: int) -> int:
    return connection.sock.getsockopt(socket.IPPROTO_TCP, name)


def probes(connection: Connection) -> bool:
    return bool(connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


def test_a_calm_connection_is_probed_and_never_given_up_by_the_kernel_until_silence_counts_again() -> None:
    with tcp_pair() as (connection, _):
        probe_calmly(connection, Calm(idle=3, interval=4))
        assert option(connection, socket.TCP_USER_TIMEOUT) == 0
        assert probes(connection)
        assert (option(connection, socket.TCP_KEEPIDLE), option(connection, socket.TCP_KEEPINTVL)) == (3, 4)
        assert option(connection, socket.TCP_KEEPCNT) == 127
        be_calm(connection)
        assert (option(connection, socket.TCP_USER_TIMEOUT), probes(connection)) == (0, False)
        heed_silence(connection)
        assert option(connection, socket.TCP_USER_TIMEOUT) == DEAD_PEER_TIMEOUT_MS
        assert probes(connection)


def test_what_is_not_acknowledged_is_silence_and_a_word_is_the_end_of_it() -> None:
    calm = Calm(silence=0.2)
    with tcp_pair() as (connection, peer):
        wait_until(lambda: is_silent(connection, calm), "silence: nothing was said on it yet")
        peer.sendall(b"x")
        wait_until(lambda: not is_silent(connection, calm), "what has come is heard")
        drop_all_that_comes(connection.sock)
        connection.send(HELLO)
        wait_until(lambda: is_silent(connection, calm), "silence: its acknowledgement is lost")


def test_a_connection_that_was_lost_by_silence_says_so_and_one_that_was_reset_does_not() -> None:
    with tcp_pair() as (connection, _):
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 200)
        drop_all_that_comes(connection.sock)
        connection.send(HELLO)
        with pytest.raises(PeerGone, match="timed out"):
            connection.receive(10)
        assert connection.fell_silent
    with tcp_pair() as (connection, peer):
        reset(peer)
        with pytest.raises(PeerGone, match="reset"):
            connection.receive(10)
        assert not connection.fell_silent


def test_nothing_of_a_connection_that_is_closed_is_silent() -> None:
    with tcp_pair() as (connection, _):
        connection.close()
        probe_calmly(connection)
        heed_silence(connection)
        assert not is_silent(connection, Calm(silence=0.0))
        assert silent_seconds(connection.sock) == 0
