"""Settings of the baseline: those of development with the plain view's URLs. Nothing else differs."""

from rtx.settings.dev import *  # noqa: F403

ROOT_URLCONF = "tests.perf.naive.urls"
