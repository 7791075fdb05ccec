"""`python -m manifestctl`."""

import sys

from manifestctl.command_line import main

if __name__ == "__main__":
    sys.exit(main())
