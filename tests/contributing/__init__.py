"""``make contributing-check``: does what CONTRIBUTING.md shows, in a clean clone, and tests what comes of it.

pytest collects nothing here.
"""
