"""Hypothesis: few examples here, as these tests run at each change, and no limit of time for one of them."""

import os

from hypothesis import settings

settings.register_profile("mcast", deadline=None, max_examples=40)
if "HYPOTHESIS_PROFILE" not in os.environ:  # a thorough run names its own
    settings.load_profile("mcast")
