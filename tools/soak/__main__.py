"""`python3 -m tools.soak`."""

import sys

from tools.soak.main import main

if __name__ == "__main__":
    sys.exit(main())
