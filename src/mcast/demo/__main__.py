"""`python3 -m mcast.demo`."""

import sys

from mcast.demo import main

if __name__ == "__main__":
    sys.exit(main())
