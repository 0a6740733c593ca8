"""`mcast-bootstrap`."""
