"""`python -m rtx.local run` runs the demo broker on this machine; `clean` deletes its data."""

import sys

from rtx.local.supervisor import main

sys.exit(main(sys.argv[1:]))
