"""What the bootstrapper knows of the overlay, and how it is shown: a page, an API, metrics, a terminal."""
