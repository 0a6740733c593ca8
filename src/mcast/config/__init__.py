"""Files that people write: read whole, checked whole, refused whole."""
