"""``make mutants``: break the code in small ways and see which breaks the tests do not notice. See docs/testing.md.

pytest collects nothing here.
"""
