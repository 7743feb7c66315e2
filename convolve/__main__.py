"""python -m convolve: the command line."""

import sys

from convolve.command import main

if __name__ == "__main__":
    sys.exit(main())
