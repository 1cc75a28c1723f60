"""A client of a running server, as a proxy that ends TLS would send it."""

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


class WireClient:
    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.headers = {"Content-Type": "application/json", **headers}
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, request_id: str | None = None
    ) -> tuple[int, Any]:
        """The status and the document of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers | ({"X-Request-ID": request_id} if request_id else {})
        status, content = self._open(urllib.request.Request(self.base + path, data, headers, method=method))
        return status, json.loads(content) if content else None

    def text(self, path: str) -> tuple[int, str]:
        return self._open(urllib.request.Request(self.base + path, headers=self.headers))

    def sign_in_to_admin(self, email: str, password: str) -> int:
        """Send the admin's form, with its token, to a process of production; cookies are sent without TLS."""
        page = self.text("/admin/login/")[1]
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found, page
        form = {"username": email, "password": password, "csrfmiddlewaretoken": found[1]}
        headers = {
            **{name: value for name, value in self.headers.items() if name.startswith("X-")},
            "Referer": self.base.replace("http:", "https:") + "/admin/login/",
            "Cookie": f"__Host-csrftoken={found[1]}",
        }
        data = urllib.parse.urlencode(form).encode()
        return self._open(urllib.request.Request(self.base + "/admin/login/", data, headers))[0]

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
