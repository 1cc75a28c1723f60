"""``manage.py doctor``: checks the installation for operators."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.module_loading import autodiscover_modules

from utils.diagnosis import Finding, Options, checks, examine

__all__ = ["Command", "checks"]


class Command(BaseCommand):
    help = (
        "Check the settings and all services that the product depends on, and report what is wrong. "
        "The exit status is 1 if anything is wrong."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document")
        parser.add_argument(
            "--canary", action="store_true", help="send an AI task through a worker, even if it costs money"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        autodiscover_modules("diagnosis")
        findings = []
        for finding in examine(Options(canary=options["canary"])):
            findings.append(finding)
            if not options["json"]:
                self.stdout.write(f"{'ok  ' if finding.is_well else 'BAD '} {finding.check:<11} {finding.text}")
        bad = sum(not finding.is_well for finding in findings)
        if options["json"]:
            self.stdout.write(_document(findings))
        elif bad:
            self.stderr.write(f"{bad} of {len(findings)} things need attention.")
        if bad:
            sys.exit(1)


def _document(findings: list[Finding]) -> str:
    return json.dumps(
        {
            "ok": all(finding.is_well for finding in findings),
            "findings": [{"check": finding.check, "ok": finding.is_well, "text": finding.text} for finding in findings],
        },
        ensure_ascii=False,
        indent=2,
    )
