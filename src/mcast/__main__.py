"""Where each of the four programs begins; `python3 -m mcast ROLE ...` runs them without installing them.

A role's modules are loaded only here, behind the handler of Ctrl-C: that takes longer than a hasty user.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

ROLES = {
    "bootstrap": ("mcast.roles.bootstrap.main", "knows the layout and tells each node its place"),
    "node": ("mcast.roles.node.main", "an overlay node or the rendezvous point"),
    "server": ("mcast.roles.server.main", "owns contents and streams them"),
    "client": ("mcast.roles.client.main", "plays, records or republishes a content"),
}


def bootstrap() -> int:
    """Run `mcast-bootstrap`; return its exit status."""
    return _run("bootstrap", sys.argv[1:])


def node() -> int:
    """Run `mcast-node`; return its exit status."""
    return _run("node", sys.argv[1:])


def server() -> int:
    """Run `mcast-server`; return its exit status."""
    return _run("server", sys.argv[1:])


def client() -> int:
    """Run `mcast-client`; return its exit status."""
    return _run("client", sys.argv[1:])


def main() -> int:
    """Run the role that the first argument names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python3 -m mcast ROLE [OPTIONS]\n\nroles:")
        print("\n".join(f"  {role:<11} {purpose}" for role, (_, purpose) in ROLES.items()))
        print("\npython3 -m mcast ROLE --help tells the options of each.")
        return 0
    role = arguments[0].removeprefix("mcast-")
    if role not in ROLES:
        print(f"mcast: error: '{arguments[0]}' is no role (roles: {', '.join(ROLES)})", file=sys.stderr)
        return 2
    return _run(role, arguments[1:])


def _run(role: str, arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, _end)
    module = importlib.import_module(ROLES[role][0])
    status: int = module.main(arguments)
    return status


def _end(_number: int, _frame: FrameType | None) -> None:
    """End without a word: nothing has begun, and a traceback would help nobody."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
