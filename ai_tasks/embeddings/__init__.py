"""Finds passages by meaning: a model turns each passage into a vector, an embedding.

Off unless ``EMBEDDINGS_BASE_URL`` or ``EMBEDDINGS_API_KEY`` is set; then it makes no query, no row and no call.

``texts`` defines which text of a block is embedded, ``waiting`` which notes need indexing, ``indexing`` indexes them,
``searching`` finds the passages near a question. ``calls`` calls the provider and records the use, ``extension``
handles pgvector.
"""
