"""`python -m daemon` is `manifestd`."""

import sys

from daemon.command_line import main

sys.exit(main())
