"""What the service is compared with: the same routes over the same tables, written as each way's documentation teaches.

``floor``: bare WSGI, a psycopg pool, orjson, PyJWT and SQL by hand; nothing is checked but the token.
``naive``: Django REST framework as its tutorial goes: ``ModelViewSet`` and nested serializers, a query for each row.
``careful``: the same with everything that its documentation advises: joins and prefetching, counts in SQL, throttles,
conditional answers, simplejwt's stock views.
``fastapi_app``: FastAPI with SQLAlchemy's asynchronous sessions.
"""
