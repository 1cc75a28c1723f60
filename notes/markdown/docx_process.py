"""Converts a Word document on standard input to JSON ``{markdown, warnings}`` on standard output.

Run by ``utils.bounded_process``. Of this project it imports only ``office_math``.
"""

import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mammoth
from markdownify import MarkdownConverter

sys.path.insert(0, str(Path(__file__).parents[2]))

from notes.markdown.office_math import MATH, latex

_INSIDE_A_WORD = re.compile(r"(?<=\w)\\_(?=\w)")
"""An escaped underscore inside a word. Markdown reads no emphasis there, and without the escape the word is found."""
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARTS_WITH_TEXT = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_PLACE = re.compile("\ue000([0-9]{1,6})\ue001")
"""The placeholder of a formula while the rest is converted to Markdown."""


class _Converter(MarkdownConverter):
    def escape(self, text: str, parent_tags: Any) -> str:
        """Also escape ``<``, as a text that looks like a tag is text."""
        return str(super().escape(text, parent_tags)).replace("<", "\\<")  # type: ignore[misc]  # made at run time

    def convert_td(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_td(el, text.replace("|", "\\|"), parent_tags))  # type: ignore[misc]  # made at run time

    def convert_th(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_th(el, text.replace("|", "\\|"), parent_tags))  # type: ignore[misc]  # made at run time


def main() -> None:
    pictures = 0

    def leave_out(image: object) -> list[object]:
        nonlocal pictures
        pictures += 1
        return []

    formulas: list[str] = []
    document = _with_places(sys.stdin.buffer.read(), formulas)
    result = mammoth.convert_to_html(io.BytesIO(document), convert_image=leave_out)
    text = _Converter(heading_style="ATX", bullets="-").convert(result.value)
    text = _INSIDE_A_WORD.sub("_", text)
    text = _PLACE.sub(lambda found: formulas[int(found[1])] if int(found[1]) < len(formulas) else "", text)
    warnings = sorted({message.message for message in result.messages})[:20]
    if pictures:
        warnings.append(f"Pictures that were left out: {pictures}.")
    json.dump({"markdown": text, "warnings": warnings}, sys.stdout)


def _with_places(document: bytes, formulas: list[str]) -> bytes:
    """The document with a placeholder for each formula, as mammoth would drop formulas."""
    with zipfile.ZipFile(io.BytesIO(document)) as source:
        parts = {name: source.read(name) for name in source.namelist() if name in _PARTS_WITH_TEXT}
        parts = {name: content for name, content in parts.items() if b"oMath" in content}
        if not parts:
            return document
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as copy:
            for name in source.namelist():
                content = _replaced(parts[name], formulas) if name in parts else source.read(name)
                copy.writestr(name, content)
    return target.getvalue()


def _replaced(content: bytes, formulas: list[str]) -> bytes:
    root = ElementTree.fromstring(content)
    for parent in [element for element in root.iter() if not element.tag.startswith(MATH)]:
        for at, child in enumerate(parent):
            if child.tag == f"{MATH}oMathPara":
                inner = "".join(
                    f"\n\n$$\n{found}\n$$\n\n" for one in child.iter(f"{MATH}oMath") if (found := latex(one))
                )
            elif child.tag == f"{MATH}oMath":
                inner = f"${found}$" if (found := latex(child)) else ""
            else:
                continue
            run = ElementTree.Element(f"{_WORD}r")
            ElementTree.SubElement(run, f"{_WORD}t").text = f"\ue000{len(formulas)}\ue001"
            formulas.append(inner)
            parent[at] = run
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


if __name__ == "__main__":
    main()
