"""The service's own settings, and a route that does nothing."""

from NoteAssist_AI.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.ours_urls"
