"""What nodes and clients share: the one thread that decides, and the ways to ask and to follow neighbours."""
