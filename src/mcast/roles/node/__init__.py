"""`mcast-node`."""
