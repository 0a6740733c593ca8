"""The worker processes of a node: `mcast-node --workers`."""
