"""A small HTTP service for pages, pictures and endless streams: bounded, guarded, on the standard library."""
