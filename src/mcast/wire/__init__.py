"""Bytes to frozen dataclasses and back. Pure; nothing but WireError for what a peer sends."""
