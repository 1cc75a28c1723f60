"""Images and PDFs as people upload them, made by Pillow."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825
SECRET = b"A SECRET PLACE"
"""In the metadata of every file of these."""
XMP = b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def exif(orientation: int = 6) -> Image.Exif:
    data = Image.Exif()
    data[ORIENTATION] = orientation
    data[MAKE] = SECRET.decode()
    data.get_ifd(GPS).update({1: "N", 2: (IFDRational(52), IFDRational(31), IFDRational(12))})
    return data


def picture(size: tuple[int, int] = (40, 20), mode: str = "RGB") -> Image.Image:
    """Each pixel differs from its neighbours."""
    width, height = size
    pixels = bytes(
        (x * 7 + y * 5 + band) % 256 for y in range(height) for x in range(width) for band in range(len(mode))
    )
    return Image.frombytes(mode, size, pixels)


def saved(image_format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = BytesIO()
    (image or picture()).save(buffer, image_format, **options)
    return buffer.getvalue()


def icc_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def jpeg(**options: Any) -> bytes:
    """A photo with all that cameras write, and a second picture after its end."""
    options = {"exif": exif(), "xmp": XMP, "comment": SECRET, "icc_profile": icc_profile(), **options}
    return saved("JPEG", **options) + saved("JPEG", exif=exif())


def png(**options: Any) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", SECRET.decode())
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return saved("PNG", exif=exif(), pnginfo=info, **options) + SECRET


def webp(**options: Any) -> bytes:
    return saved("WEBP", exif=exif(), xmp=XMP, icc_profile=icc_profile(), lossless=True, **options) + SECRET


def gif(frames: int = 3) -> bytes:
    images = [picture().quantize(8).rotate(n * 90) for n in range(frames)]
    return (
        saved("GIF", images[0], save_all=True, append_images=images[1:], loop=0, comment=SECRET, duration=100) + SECRET
    )


SAMPLES = {"image/jpeg": jpeg, "image/png": png, "image/webp": webp, "image/gif": gif}
