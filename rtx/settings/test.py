"""Settings of the test suite: real PostgreSQL and Redis, cheap password hashing, nothing else different."""

from rtx.settings.dev import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSIONS_ALWAYS_OPEN = False
QUOTE_BOARD_FOLLOWS_BUS = False  # tests put quotes on the board by hand
