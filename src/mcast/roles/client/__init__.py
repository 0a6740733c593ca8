"""`mcast-client`."""
