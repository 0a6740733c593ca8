"""`python -m mcast.experiments`."""

import sys

from mcast.experiments.cli import main

sys.exit(main())
