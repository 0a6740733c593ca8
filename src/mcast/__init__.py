"""mcast: live audio and video over an application-level multicast overlay.

`mcast.list_contents` tells which contents there are, `mcast.nearest_nodes` where to join,
`mcast.Subscription` is the way to a content from Python, and `mcast.errors` is what they raise.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcast.client import Directory, NearNode, Statistics, Subscription, list_contents, nearest_nodes

__version__ = "0.1.0"
__all__ = [
    "Directory",
    "NearNode",
    "Statistics",
    "Subscription",
    "__version__",
    "list_contents",
    "nearest_nodes",
]


def __getattr__(name: str) -> object:
    """Return a name of the public API (PEP 562).

    It is imported when it is first asked for: a node has no use for a client's modules.
    """
    if name in __all__:
        from mcast import client

        return getattr(client, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
