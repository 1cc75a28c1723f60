"""The arithmetic of docs/operations/scaling.md."""

import re

from django.conf import settings

TEXT = (settings.BASE_DIR / "docs/operations/scaling.md").read_text().replace("\N{MULTIPLICATION SIGN}", "x")
PRODUCTS = re.compile(r"(\d+(?: x \d+)+) = (\d+)")
ROW = re.compile(
    r"^\| ([^|]+) \| ([\dx ]+= \d+) \| ([\dx ]+= \d+) \| ([\dx ]+= \d+) \| (\d+) \| (\d+) \|$", re.MULTILINE
)
COMMANDS = 4
"""Connections of `migrate`, `doctor` and whoever looks."""


def product_of(text: str) -> int:
    factors, total = PRODUCTS.fullmatch(text).groups()
    result = 1
    for factor in factors.split(" x "):
        result *= int(factor)
    assert result == int(total), text
    return result


def test_the_connection_budget_adds_up():
    rows = ROW.findall(TEXT)

    assert len(rows) == 4
    for name, web, workers, events, total, deploy in rows:
        processes = sum(map(product_of, (web, workers, events)))
        assert (name, int(total), int(deploy)) == (name, processes + COMMANDS, 2 * processes + COMMANDS)


def test_the_connection_budget_has_the_defaults_of_the_configuration():
    configuration = (settings.BASE_DIR / "docs/configuration.md").read_text()

    for variable, default in re.findall(r"^\| each .+ \| `([A-Z_]+)` \| (\d+) \|$", TEXT, re.MULTILINE):
        assert f"| `{variable}` | {default} |" in configuration
    first = ROW.findall(TEXT)[0]
    web = re.search(r"^\| `WEB_CONCURRENCY` \| (\d+) \|", configuration, re.MULTILINE)[1]
    assert first[1:4] == (f"1 x {web} x 16 = 32", "1 x 8 = 8", "1 x 1 x 4 = 4")
