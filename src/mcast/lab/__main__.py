"""`python -m mcast.lab` is `mcast-lab`."""

import sys

from mcast.lab.cli import main

sys.exit(main())
