"""Faults: the whole product in real processes that are killed, and what must hold afterwards.

``pytest -m slow tests/faults`` runs the short form, ``make chaos`` the long one. Both run on engines, ports and
directories of their own. A supervisor (:mod:`.system`) starts the processes, operators (:mod:`.operators`) kill them,
clients (:mod:`.clients`) use the API at random and write down each answer, and at the end :mod:`.checks` compares what
they were told with what the database says.
"""
