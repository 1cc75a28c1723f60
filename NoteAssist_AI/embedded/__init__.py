"""Embedded PostgreSQL and Redis for development and tests, and the launcher of ``make run``."""

from NoteAssist_AI.embedded.engines import EngineError, Engines, Status, engines_of_checkout, ensure, ensure_or_exit

__all__ = ["EngineError", "Engines", "Status", "engines_of_checkout", "ensure", "ensure_or_exit"]
