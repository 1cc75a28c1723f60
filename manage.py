#!/usr/bin/env python
"""Django's command line, on the embedded engines where no others are configured."""

import sys

from django.core.management import execute_from_command_line

from NoteAssist_AI import embedded, env


def main() -> None:
    if sys.argv[1:2] != ["embedded"]:  # which starts, stops or only looks at them
        embedded.ensure_or_exit()
    env.load_settings()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
