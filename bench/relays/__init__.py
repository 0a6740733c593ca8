"""What a relay costs, measured beside the limit of the kernel and beside peers: `make bench`."""
