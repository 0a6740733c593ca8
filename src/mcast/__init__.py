"""mcast: live audio and video over an application-level multicast overlay.

`mcast.Subscription` is the way to a content from Python; `mcast.errors` is what it raises.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcast.client import Statistics, Subscription

__version__ = "0.1.0"
__all__ = ["Statistics", "Subscription", "__version__"]


def __getattr__(name: str) -> object:
    """Return a name of the public API (PEP 562).

    It is imported when it is first asked for: a node has no use for a client's modules.
    """
    if name in ("Statistics", "Subscription"):
        from mcast import client

        return getattr(client, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
