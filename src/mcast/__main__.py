"""`python3 -m mcast ROLE ...`: the programs without installing them."""

import importlib
import sys

ROLES = {
    "bootstrap": ("mcast.roles.bootstrap.main", "knows the layout and tells each node its place"),
    "node": ("mcast.roles.node.main", "an overlay node or the rendezvous point"),
    "server": ("mcast.roles.server.main", "owns contents and streams them"),
    "client": ("mcast.roles.client.main", "plays, records or republishes a content"),
}


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
    module = importlib.import_module(ROLES[role][0])
    status: int = module.main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
