"""`python -m tools.resilience`."""

import sys

from tools.resilience.cli import main

if __name__ == "__main__":
    sys.exit(main())
