"""Contents of the overlay for browsers, players and set-top boxes, over HTTP: `mcast-client --http`."""
