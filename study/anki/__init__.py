"""Exports and imports Anki packages (``.apkg``).

Export: ``exporting`` writes a package, with the texts of ``fields`` and the schedules of ``schedules``. Import:
``packages`` opens one, ``collection_process`` reads its database, ``notes`` turns its notes into cards with
``templates`` and ``texts``, ``importing`` writes them. See docs/anki.md.
"""
