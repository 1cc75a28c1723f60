"""Names of models as settings and tables have them. Imports no Django: settings read this module."""

DEFAULT = "default"
"""In ``AI_MODELS``: the name for all request types that are not named."""
MODEL_MAX_LENGTH = 100
