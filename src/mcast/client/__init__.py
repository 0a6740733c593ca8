"""The public API: a content of the overlay, taken from Python.

`Subscription` brings the stream, `Statistics` says how it goes. The program `mcast-client` is built on it.
"""

from mcast.client.statistics import Statistics
from mcast.client.subscription import Subscription

__all__ = ["Statistics", "Subscription"]
