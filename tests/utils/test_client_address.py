import pytest
from django.test import RequestFactory

from utils.http.client_address import client_address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, None, "198.51.100.1"),
        (0, "203.0.113.9", "198.51.100.1"),  # nobody's proxy: whoever sends it made it up
        (1, None, "198.51.100.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # what the client sent stands first
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "198.51.100.1"),  # came past one of the proxies
        (1, "203.0.113.9:5000", "203.0.113.9"),
        (1, "[2001:db8::1]:5000", "2001:db8::1"),
        (1, "2001:0DB8:0::1", "2001:db8::1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "[fe80::1%25eth0]:5000", "fe80::1"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "not an address", "198.51.100.1"),
        (1, "", "198.51.100.1"),
    ],
)
def test_only_addresses_that_our_proxies_added_are_trusted(settings, proxies, forwarded, expected):
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(RequestFactory().get("/", REMOTE_ADDR="198.51.100.1", **headers)) == expected


def test_a_server_on_a_unix_socket_knows_no_address():
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) == ""
