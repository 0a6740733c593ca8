"""`python -m tools.lab` is `mcast-lab`."""

import sys

from tools.lab.cli import main

sys.exit(main())
