"""Finding passages by what they mean: each has a vector that a model of embeddings made of it.

Off unless ``EMBEDDINGS_BASE_URL`` or ``EMBEDDINGS_API_KEY`` is set: then there is no query, no row and no call.

``texts`` says what of a block is embedded, ``waiting`` which notes are to be indexed, ``indexing`` indexes them,
``searching`` finds what is near a question. ``calls`` asks the provider and keeps count, ``extension`` knows pgvector.
"""
