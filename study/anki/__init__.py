"""Packages of Anki (``.apkg``), both ways.

Out: ``exporting`` writes a package, with the texts of ``fields`` and the schedules of ``schedules``. In: ``packages``
opens one, ``collection_process`` reads the database in it, ``notes`` makes cards of what it says by ``templates`` and
``texts``, ``importing`` writes them. See docs/anki.md.
"""
