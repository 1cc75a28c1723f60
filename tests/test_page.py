"""The page at ``/``: its policy, its modules by hashed names, its libraries, its size."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.test import override_settings

from ai_tasks.providers.offline.compose import LANGUAGE_ALIASES
from NoteAssist_AI.web_client import LATER, LIBRARIES, MODULES

FIRST_VISIT_BYTES = 60_000
COLOURS_BYTES = 54_000
"""highlight.js and all its languages."""
_PAIR = re.compile(r'(?:(\w+)|"([^"]+)"): "(\w+)"')
_IMPORT = re.compile(r'^import (?:[^"]+? from )?"([^"]+)";', re.MULTILINE)
_IMPORT_LATER = re.compile(r"import\([\"`]([^\"`]+)[\"`]\)")
_MINIFIED_IMPORT = re.compile(r'(?:^|;)(?:import|export)(?:[\w${},* ]+from)?"([^"]+)"', re.MULTILINE)


def import_map_of(response) -> dict:
    (shown,) = re.findall(r'<script type="importmap" nonce="[^"]+">(.*?)</script>', response.text)
    return json.loads(shown)


def preloaded(response) -> list[str]:
    return re.findall(r'<link rel="modulepreload" href="([^"]+)"(?: integrity="sha384-[^"]+")?>', response.text)


def source_of(name: str) -> str:
    path = MODULES / "vendor" / LIBRARIES[name].file if name in LIBRARIES else MODULES / name.removeprefix("page/")
    return path.read_text()


def imports_of(name: str) -> set[str]:
    return set((_MINIFIED_IMPORT if name in LIBRARIES else _IMPORT).findall(source_of(name)))


@pytest.fixture
def collected(tmp_path) -> Iterator[Path]:
    """The static files as production serves them: with hashed names, and compressed."""
    storage = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    with override_settings(STATIC_ROOT=tmp_path, STORAGES={**settings.STORAGES, "staticfiles": storage}):
        call_command("collectstatic", interactive=False, verbosity=0)
        yield tmp_path


def test_the_page_has_a_policy_with_a_nonce_for_its_import_map_alone(client, settings):
    settings.EVENTS_BASE_URL = "https://events.example.com/somewhere"

    first, second = client.get("/"), client.get("/")

    nonces = [re.search(r' nonce="([^"]+)"', response.text)[1] for response in (first, second)]
    assert first["Content-Security-Policy"] == (
        f"default-src 'none'; script-src 'self' 'nonce-{nonces[0]}'; style-src 'self'; img-src 'self' blob:; "
        "font-src 'self'; connect-src 'self' https://events.example.com; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert nonces[0] != nonces[1]
    assert len(nonces[0]) >= 22
    assert first["Cache-Control"] == "no-cache"
    assert len(re.findall(r"<script(?![^>]*\bsrc=)", first.text)) == 1
    assert re.findall(r"<style\b|\s(?:style|on\w+)=", first.text) == []


def test_streams_from_the_same_host_need_no_other_origin(client, settings):
    settings.EVENTS_BASE_URL = ""

    assert "connect-src 'self';" in client.get("/")["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/sw.js"])
def test_it_is_compressed_for_a_slow_link(client, path):
    plain, packed = client.get(path), client.get(path, headers={"Accept-Encoding": "gzip"})

    assert (packed["Content-Encoding"], packed["Vary"]) == ("gzip", "Accept-Encoding")
    assert len(packed.content) < len(plain.content) / 2
    assert gzip.decompress(packed.content)[:100] == plain.content[:100]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_page_is_only_read(client, method):
    response = getattr(client, method)("/")

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(("environment", "is_shown"), [("development", True), ("test", False), ("production", False)])
def test_the_demo_login_stands_in_the_page_in_development_only(client, settings, environment, is_shown):
    settings.ENVIRONMENT = environment

    assert ("demo-password" in client.get("/").text) is is_shown


def test_browsers_find_a_picture_where_they_look_for_one(client):
    response = client.get("/favicon.ico")

    assert (response.status_code, response["Location"]) == (302, "/static/web/favicon.svg")


def test_in_production_every_module_has_a_hashed_name_and_is_there(client, collected):
    shown = client.get("/")
    files = import_map_of(shown)["imports"]

    own = {path.relative_to(MODULES) for path in MODULES.rglob("*.js") if path.parent.name != "vendor"}
    own -= {Path("sw.js")}  # it has an address of its own
    assert files.keys() == {*LIBRARIES, *(f"page/{path}" for path in own)}
    for url in (*files.values(), *re.findall(r'(?:href|src)="(/static/[^"]+)"', shown.text)):
        assert re.fullmatch(r"/static/web/.+\.[0-9a-f]{12}\.(?:js|css|svg)", url)
        assert (collected / url.removeprefix("/static/")).is_file()


def test_every_import_is_in_the_import_map(client):
    names = import_map_of(client.get("/"))["imports"]
    later = {name for module in names for name in _IMPORT_LATER.findall(source_of(module))}

    assert {name for module in names for name in imports_of(module)} <= names.keys()
    assert later - {"page/words/${code}.js"} <= names.keys()


def test_the_page_loads_at_once_what_its_first_module_needs_and_no_more(client):
    response = client.get("/")
    needed, found = {"page/main.js"}, set()
    while needed - found:
        name = (needed - found).pop()
        found.add(name)
        needed |= imports_of(name)

    assert preloaded(response) == [url for name, url in import_map_of(response)["imports"].items() if name in needed]
    assert {name.removeprefix("page/") for name in import_map_of(response)["imports"].keys() - needed} == LATER


def test_the_service_worker_keeps_the_whole_page_and_differs_when_a_file_does(client, tmp_path, monkeypatch):
    def shell() -> dict:
        response = client.get("/sw.js")
        assert response["Content-Type"] == "text/javascript"
        assert response["Cache-Control"] == "no-cache"
        return json.loads(response.text.splitlines()[0].removeprefix("const SHELL = ").removesuffix(";"))

    shown = client.get("/")
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', shown.text)
    before = shell()

    assert set(before["files"]) == {"/", *named, *import_map_of(shown)["imports"].values()}
    assert [path for path in before["files"] if path.startswith("/api/")] == []
    assert shell() == before
    copy = tmp_path / "web"
    shutil.copytree(MODULES, copy)
    monkeypatch.setattr("NoteAssist_AI.web_client.MODULES", copy)
    assert shell() == before
    (copy / "words" / "de.js").write_text("export default {};")
    assert shell()["version"] != before["version"]


def test_the_first_visit_is_small(client, collected):
    page = client.get("/")
    urls = {*preloaded(page), *re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)}
    sizes = {url: len(compressed_of(collected / url.removeprefix("/static/"))) for url in urls}
    total = len(gzip.compress(page.content)) + sum(sizes.values())

    assert len(urls) > 20
    assert 10_000 < total <= FIRST_VISIT_BYTES, sizes


def compressed_of(path: Path) -> bytes:
    compressed = path.with_name(f"{path.name}.gz")  # whitenoise makes none where it would save nothing
    return compressed.read_bytes() if compressed.exists() else path.read_bytes()


def test_the_libraries_are_those_that_the_readme_lists(client):
    readme = (MODULES / "vendor" / "README.md").read_text()
    rows = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \| (\S+ \d+\.\d+\.\d+), .* \| (\S.*?) \| `(sha384-\S+)` \|$", readme, re.M
    )
    digests = {
        path.name: "sha384-" + base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
        for path in (MODULES / "vendor").glob("*.js")
    }

    assert {file: integrity for file, _, _, _, integrity in rows} == digests
    assert {name: (file, integrity) for file, name, _, _, integrity in rows} == LIBRARIES
    assert {licence for _, _, _, licence, _ in rows} <= {"MIT", "Apache-2.0", "BSD-3-Clause", "(MPL-2.0 OR Apache-2.0)"}
    shown = import_map_of(client.get("/"))
    assert {shown["imports"][name]: it.integrity for name, it in LIBRARIES.items()} == shown["integrity"]


def test_the_colours_of_code_take_little_and_know_the_same_names_of_languages_as_the_api():
    source = (MODULES / "code.js").read_text()
    (aliases,) = re.findall(r"^const ALIASES = \{(.*?)\};$", source, re.MULTILINE | re.DOTALL)
    grammars = re.findall(r'^  (\w+): \(\) => import\("highlight/(\w+)"\),$', source, re.MULTILINE)
    files = [it.file for name, it in LIBRARIES.items() if name.startswith("highlight")]

    assert {first or second: to for first, second, to in _PAIR.findall(aliases)} == LANGUAGE_ALIASES
    assert [name for name, file in grammars if name != file] == []
    assert {name for name, _ in grammars} == {*LANGUAGE_ALIASES.values(), "c", "java"}
    assert sum(len(gzip.compress((MODULES / "vendor" / file).read_bytes())) for file in files) < COLOURS_BYTES


def words_of(language: str) -> dict[str, str]:
    text = (MODULES / "words" / f"{language}.js").read_text()
    return dict(re.findall(r'(?:^|[ {])"?([\w.]+)"?: "((?:[^"\\]|\\.)*)",', text, re.MULTILINE))


@pytest.mark.parametrize("language", ["de", "ur"])
def test_every_language_has_all_words_with_the_same_values_in_them(language):
    english, other = words_of("en"), words_of(language)

    assert len(english) > 100
    assert other.keys() == english.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", other[key])) == sorted(re.findall(r"\{\w+\}", text)), key


def test_every_word_that_the_modules_name_is_there_and_every_one_is_used():
    sources = "".join(path.read_text() for path in MODULES.rglob("*.js") if path.parent.name not in ("vendor", "words"))
    english = words_of("en")

    named = set(re.findall(r'\bt\("([\w.]+)"', sources))
    beginnings = tuple(set(re.findall(r"\bt\(`(\w+\.)\$\{", sources)))
    assert named <= english.keys()
    assert len(beginnings) > 5
    unused = [key for key in english if f'"{key}"' not in sources and not key.startswith(beginnings)]
    assert unused == []


def test_static_names_are_not_hashed_in_development():
    assert staticfiles_storage.url("web/main.js") == "/static/web/main.js"
