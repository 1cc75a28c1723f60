"""Converts a note as JSON on standard input to a PDF on standard output. Run by ``utils.bounded_process``.

The note's ``pictures`` are the names of the attached images' files in this folder, by the attachments' ids. The output
begins with one line of JSON, ``{"missing": [...], "not_shown": 0}``: the characters that no font has, and the number of
attached images that cannot be shown. The note's text is passed to Typst as data in a file, never as markup.
"""

import json
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["RAYON_NUM_THREADS"] = "1"  # each thread's stack counts towards the limit on memory
sys.path.insert(0, str(Path(__file__).parents[2]))

import typst

from notes.pdf.images import Images
from notes.pdf.tree import blocks_of, breakable, code_node, is_right_to_left, text_node

_FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")
_MISSING = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")


def main() -> None:
    note = json.load(sys.stdin)
    shutil.copy(Path(__file__).with_name("template.typ"), "main.typ")
    images = Images(note["pictures"])
    data = document_of(note, images)
    pdf, missing = _typeset_whole(data)
    if pdf is None:
        data["missing"] = [f"U+{ord(letter):04X}" for letter in missing]
        pdf = _typeset(data)
    sys.stdout.buffer.write(json.dumps({"missing": missing, "not_shown": len(images.not_shown)}).encode() + b"\n" + pdf)


def document_of(note: dict[str, Any], images: Images) -> dict[str, Any]:
    """The data of the template."""
    whole = json.dumps(note, ensure_ascii=False)
    return {
        "title": breakable(note["title"]),
        "tags": [breakable(tag) for tag in note["tags"]],
        "date": note["updated_at"][:10],
        "cjk": "JP" if _KANA.search(whole) else "KR" if _HANGUL.search(whole) else "SC",
        "missing": [],
        "chapters": [
            {
                "title": breakable(chapter["title"]),
                "rtl": is_right_to_left(chapter["title"]),
                "topics": [_topic(topic, images) for topic in chapter["topics"]],
            }
            for chapter in note["chapters"]
        ],
    }


def _topic(topic: dict[str, Any], images: Images) -> dict[str, Any]:
    blocks = blocks_of(topic["explanation"], images)
    if topic["code"]:
        blocks.append(code_node(topic["code"], topic["code_language"]))
    return {
        "title": breakable(topic["title"]),
        "rtl": is_right_to_left(topic["title"]),
        "blocks": blocks,
        "sources": [
            {"t": "link", "url": source["url"], "v": breakable(source["url"]), "c": [text_node(source["title"])]}
            for source in topic["sources"]
        ],
    }


def _typeset(data: dict[str, Any], **options: Any) -> bytes:
    Path("data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return typst.compile("main.typ", root=".", font_paths=_fonts(), format="pdf", **options)


def _typeset_whole(data: dict[str, Any]) -> tuple[bytes | None, list[str]]:
    """The PDF, or the characters that no font has. Typst reports these only for a PDF standard that requires them."""
    try:
        return _typeset(data, pdf_standards="a-2u"), []
    except typst.TypstError as error:
        found = _MISSING.findall(error.diagnostic)
        return None, sorted({letter for text in found for letter in text if letter.isprintable()} - {"\\"})[:500]


def _fonts() -> typst.Fonts:
    folders = [Path(spec.origin).parent for name in _FONTS if (spec := find_spec(name)) and spec.origin]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders)


if __name__ == "__main__":
    main()
