"""Prepares a note's images for Typst: they are decoded once, turned upright and scaled to the printed size.

Typst never gets the attached file, but a PNG or a JPEG written here, under a generated name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from PIL import Image, ImageOps

SIDE_MAX = 2000
"""The maximum side of an image in pixels: 300 per inch across the page."""
PIXELS_MAX = 250_000_000
"""The maximum of all attached images together. Images beyond it are not shown."""
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_PATH = re.compile(r"/api/attachments/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/?")


def attachment_in(address: str) -> str | None:
    """The id of the attachment in an image's address."""
    found = _PATH.fullmatch(address)
    return str(UUID(found[1])) if found else None


@dataclass(slots=True)
class Images:
    """The images of one note. ``files``: the names of attached files in this folder, by the attachments' ids."""

    files: Mapping[str, str]
    not_shown: set[str] = field(default_factory=set)
    """The ids of attachments that cannot be shown: the image is missing, broken or beyond ``PIXELS_MAX``."""
    _made: dict[str, dict[str, Any]] = field(default_factory=dict)
    _pixels: int = 0

    def take(self, attachment: str) -> dict[str, Any] | None:
        """The template's data for an attached image; None if it cannot be shown."""
        if attachment not in self._made and attachment not in self.not_shown:
            made = self._make(attachment)
            if made is None:
                self.not_shown.add(attachment)
            else:
                self._made[attachment] = made
        return self._made.get(attachment)

    def _make(self, attachment: str) -> dict[str, Any] | None:
        name = self.files.get(attachment)
        if name is None:
            return None
        try:
            with Image.open(name, formats=_FORMATS) as image:
                self._pixels += image.width * image.height
                if self._pixels > PIXELS_MAX:
                    return None
                return _written(image, f"picture-{len(self._made)}")
        except Exception:  # noqa: BLE001  # decoders raise anything for a broken file; it is reported as not shown
            return None


def _written(image: Image.Image, stem: str) -> dict[str, Any]:
    image.draft("RGB", (SIDE_MAX, SIDE_MAX))  # a JPEG is decoded no larger than needed
    is_photo = image.format == "JPEG"
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
    picture = _coloured(image)
    picture.thumbnail((SIDE_MAX, SIDE_MAX))
    picture = ImageOps.exif_transpose(picture)
    name = f"{stem}.{'jpg' if is_photo else 'png'}"
    options: dict[str, Any] = {"quality": 90} if is_photo else {}
    picture.save(name, icc_profile=profile, **options)
    return {"file": name, "width": picture.width, "height": picture.height}


def _coloured(image: Image.Image) -> Image.Image:
    """The first frame as RGB or RGBA."""
    if image.mode in ("RGB", "RGBA"):
        image.load()
        return image
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip, not scale
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
