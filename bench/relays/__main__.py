"""Run the benchmark: `python3 -m bench.relays`."""

import sys

from bench.relays.main import main

sys.exit(main())
