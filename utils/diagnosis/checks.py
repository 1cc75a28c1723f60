"""Imports every check of ``utils``, which registers them."""

from utils.diagnosis import configuration, mail, postgresql, processes, redis, storage

__all__ = ["configuration", "mail", "postgresql", "processes", "redis", "storage"]
