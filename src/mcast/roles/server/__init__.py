"""`mcast-server`."""
