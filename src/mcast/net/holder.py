"""Which program of ours has a port already: so that who starts it a second time is told the true cause."""

import errno
import os
import re

from mcast.config.key_file import KeyRing
from mcast.errors import McastError
from mcast.hostport import HostPort
from mcast.net.connection import connect
from mcast.net.handshake import Credentials
from mcast.wire.handshake import Role

_PATIENCE = 0.5
"""Seconds that it may take to answer: it is on this machine, and SIGTERM is to end us within one second."""
_PROGRAM = re.compile(r"mcast-(?:bootstrap|node|server)")


def holder_of(address: HostPort, error: OSError) -> str:
    """Return the name of the program that listens at an address which could not be bound; empty if unknown.

    It is asked for a program that never listens, so that whichever it is turns us away and says what it is.
    """
    if error.errno != errno.EADDRINUSE:
        return ""
    asking = Credentials(Role.CLIENT, KeyRing((os.urandom(32),)))
    host = address.host if address.host not in ("", "::", "0.0.0.0") else "localhost"
    try:
        connect(HostPort(host, address.port), _PATIENCE, credentials=asking, wanted=Role.CLIENT).close()
    except McastError as refused:
        found = _PROGRAM.search(str(refused))
        return found.group() if found else ""
    return ""
