"""The public API: a content of the overlay, taken from Python.

`Subscription` brings the stream, `Statistics` says how it goes, `list_contents` which contents
there are, `nearest_nodes` where to join. The program `mcast-client` is built on them.
"""

from mcast.client.directory import Directory, list_contents
from mcast.client.nearby import NearNode, nearest_nodes
from mcast.client.statistics import Statistics
from mcast.client.subscription import Subscription

__all__ = ["Directory", "NearNode", "Statistics", "Subscription", "list_contents", "nearest_nodes"]
