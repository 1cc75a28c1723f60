from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection


@pytest.fixture
def admin() -> Iterator[psycopg.Connection]:
    """A connection beside the pool."""
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    parameters = {name: connection.settings_dict[key] or None for name, key in names.items()}
    with psycopg.connect(**parameters, autocommit=True) as own:
        yield own
