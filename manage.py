#!/usr/bin/env python
"""Django's command line for RTX."""

import os
import sys
from pathlib import Path

# Written by `make run`, gone when it ends: commands typed beside it then reach its servers.
RUNNING = Path(__file__).resolve().parent / ".rtx" / "run.env"


def main() -> None:
    """Run one management command."""
    if "DATABASE_URL" not in os.environ and RUNNING.is_file():
        import environ

        environ.Env.read_env(RUNNING)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
