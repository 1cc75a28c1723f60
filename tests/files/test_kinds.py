"""What a file is, and what is left of it."""

import struct
from io import BytesIO
from tempfile import TemporaryFile
from zlib import compress, crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned, kind_of
from notes.services.attachments import readable_name
from tests.files.images import ORIENTATION, PDF, SAMPLES, SECRET, exif, icc_profile, jpeg, picture, saved


def clean(data: bytes) -> tuple[str, bytes]:
    with TemporaryFile() as source:
        source.write(data)
        source.flush()
        with cleaned(source) as (kind, target):
            target.seek(0)
            return kind, target.read()


def frames_of(data: bytes) -> list[Image.Image]:
    with Image.open(BytesIO(data)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(image.convert("RGBA"))
        return found


@pytest.mark.parametrize("kind", SAMPLES)
def test_pixels_stay_and_metadata_goes(kind):
    data = SAMPLES[kind]()
    assert SECRET in data

    found, after = clean(data)

    assert found == kind
    assert SECRET not in after
    before, left = frames_of(data), frames_of(after)
    assert len(before) == len(left)
    assert not any(ImageChops.difference(one, other).getbbox() for one, other in zip(before, left, strict=True))


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_of_exif_only_which_side_is_up_stays(kind, orientation):
    image_format = kind.removeprefix("image/").upper()
    _, after = clean(saved(image_format, exif=exif(orientation)))

    left = Image.open(BytesIO(after)).getexif()

    assert dict(left) == ({} if orientation == 1 else {ORIENTATION: orientation})
    assert not left.get_ifd(0x8825)
    assert b"GPS" not in after


@pytest.mark.parametrize("kind", ["image/jpeg", "image/webp"])
def test_the_colour_profile_stays(kind):
    _, after = clean(SAMPLES[kind]())

    assert Image.open(BytesIO(after)).info["icc_profile"] == icc_profile()


def test_a_moving_image_moves_on_for_ever():
    _, after = clean(SAMPLES["image/gif"]())

    assert Image.open(BytesIO(after)).info["loop"] == 0


def test_a_progressive_photo_in_cmyk_keeps_its_pixels():
    data = jpeg(image=picture(mode="CMYK"), progressive=True)

    _, after = clean(data)

    assert not ImageChops.difference(Image.open(BytesIO(data)), Image.open(BytesIO(after))).getbbox()
    assert SECRET not in after


def test_a_photo_whose_end_a_camera_left_out_is_taken():
    data = saved("JPEG").removesuffix(b"\xff\xd9")

    _, after = clean(data)

    assert after == data + b"\xff\xd9"


def test_a_pdf_stays_as_it_is():
    assert clean(PDF) == ("application/pdf", PDF)


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"GIF88a",
        b"PK\x03\x04",
        b"BM" + bytes(50),
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\n%PDF-1.7",
        b"\x89PNG",
        b"text",
        b"\x00",
    ],
)
def test_other_files_are_refused_whatever_they_are_named(data):
    with pytest.raises(UnsupportedFile):
        kind_of(data)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_file_that_breaks_off_is_damaged(kind):
    data = SAMPLES[kind]()

    with pytest.raises(UnreadableFile):
        clean(data[:40])


def png_of(width: int, height: int) -> bytes:
    """A small file that says it is large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8001, 8000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_head(size):
    with pytest.raises(ImageTooLarge):
        clean(png_of(*size))


def test_the_largest_image_is_taken():
    assert clean(png_of(8000, 8000))[0] == "image/png"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("options", [{}, {"exif": exif()}], ids=["plain", "extended"])
def test_a_webp_is_measured_before_it_is_opened(monkeypatch, lossless, options):
    data = saved("WEBP", lossless=lossless, **options)
    monkeypatch.setattr("notes.files.kinds.PIXELS_MAX", 40 * 20)
    clean(data)
    monkeypatch.setattr("notes.files.kinds.PIXELS_MAX", 40 * 20 - 1)
    head = data[:30]
    with pytest.raises(OSError, match="decoder"):
        Image.open(BytesIO(head))

    with pytest.raises(ImageTooLarge):
        clean(head)


def test_a_bomb_of_many_frames_is_refused(monkeypatch):
    monkeypatch.setattr("notes.files.kinds.ALL_PIXELS_MAX", 40 * 20 * 2)

    with pytest.raises(ImageTooLarge):
        clean(SAMPLES["image/gif"]())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_any_damage_is_an_error_of_the_file_or_none(kind, data):
    sample = bytearray(SAMPLES[kind]())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(sample) - 1))
        if data.draw(st.booleans()):
            sample[at] = data.draw(st.integers(0, 255))
        else:
            del sample[at + 1 : at + data.draw(st.integers(2, 200))]  # one byte at least stays
    try:
        clean(bytes(sample))
    except (UnsupportedFile, UnreadableFile, ImageTooLarge):
        pass


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("photo.png", "image/png", "photo.png"),
        ("photo.JPEG", "image/jpeg", "photo.JPEG"),
        ("evil.html", "image/png", "evil.html.png"),
        ("photo.jpg", "image/png", "photo.jpg.png"),
        ("..", "application/pdf", "file.pdf"),
        ("", "image/gif", "file.gif"),
        ("a/b\\c.png", "image/png", "a_b_c.png"),
        ("cafe\u0301\u202egnp.png", "image/png", "caf\u00e9gnp.png"),
        ("two\u00a0\n words.png", "image/png", "two words.png"),
        ("x" * 200 + ".png", "image/png", "x" * 146 + ".png"),
        (".png", "image/png", "png.png"),
    ],
)
def test_a_name_is_readable_and_tells_the_kind(name, kind, shown):
    from notes.models import Attachment

    assert readable_name(name, Attachment.ContentType(kind)) == shown


def webp_with(data: bytes, *, at: int, chunk: bytes) -> bytes:
    """The WebP with one more chunk."""
    data = data[:at] + chunk + data[at:]
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def test_a_second_head_of_a_webp_without_content_is_damaged():
    data = saved("WEBP", lossless=True)

    with pytest.raises(UnreadableFile):
        clean(webp_with(data, at=len(data), chunk=b"VP8X" + struct.pack("<I", 0)))


def test_a_frame_of_a_webp_has_no_metadata_of_its_own():
    frames = [Image.new("RGBA", (40, 20), (shade, 0, 0, 255)) for shade in (0, 200)]
    data = saved("WEBP", frames[0], lossless=True, save_all=True, append_images=frames[1:], duration=100)
    start = data.index(b"ANMF")
    size = struct.unpack_from("<I", data, start + 4)[0]
    secret = b"EXIF" + struct.pack("<I", len(SECRET)) + SECRET + b"\0" * (len(SECRET) % 2)
    longer = data[: start + 4] + struct.pack("<I", size + size % 2 + len(secret)) + data[start + 8 :]
    marked = webp_with(longer, at=start + 8 + size + size % 2, chunk=secret)

    _, after = clean(marked)

    assert SECRET in marked
    assert SECRET not in after
    assert [frame.tobytes() for frame in frames_of(after)] == [frame.tobytes() for frame in frames]
