"""`python -m tools.experiments`."""

import sys

from tools.experiments.cli import main

sys.exit(main())
