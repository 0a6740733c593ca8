"""Fixtures of the media plane's tests."""

from fixtures import crash

__all__ = ["crash"]
