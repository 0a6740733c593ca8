"""Hypothesis without its limit per example: a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("mcast", deadline=None)
settings.load_profile("mcast")
