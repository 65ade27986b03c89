"""Pictures: their size on a page, and a smaller copy of large ones."""

import io
import warnings
from dataclasses import dataclass
from typing import IO

from PIL import Image, ImageOps

LONGEST_SIDE = 2048
QUALITY = 85
# A few kilobytes can claim more pixels than a machine has memory for.
MOST_PIXELS = 60_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_TURNED = {5, 6, 7, 8}
_ORIENTATION = 0x0112


class NotShown(Exception):
    """A picture that is broken, or so large that opening it would harm whoever looks."""


@dataclass(frozen=True)
class Picture:
    """How large a picture is drawn, and its smaller copy where it needs one."""

    width: int
    height: int
    preview: bytes | None = None


def look_at(file: IO[bytes]) -> Picture:
    """Measure a picture as it is held, and make the copy that pages show; or `NotShown`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _look_at(file)
    except NotShown:
        raise
    # Broken pictures end in any of a dozen errors of the decoders.
    except Exception as exc:
        raise NotShown(type(exc).__name__) from exc


def _look_at(file: IO[bytes]) -> Picture:
    file.seek(0)
    with Image.open(file, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise NotShown("too many pixels")
        if max(width, height) <= LONGEST_SIDE:
            image.load()
            turned = image.getexif().get(_ORIENTATION) in _TURNED
            return Picture(height, width) if turned else Picture(width, height)
        return _smaller(image)


def _smaller(image: Image.Image) -> Picture:
    """A JPEG upright and without any metadata: no place, no camera, no thumbnail."""
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    flat = _on_white(upright)
    written = io.BytesIO()
    flat.save(written, "JPEG", quality=QUALITY, optimize=True, exif=b"")
    return Picture(flat.width, flat.height, written.getvalue())


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "L"):
        pixels = image.convert("RGB")
    else:
        clear = image.convert("RGBA")
        pixels = Image.new("RGB", image.size, "white")
        pixels.paste(clear, mask=clear.getchannel("A"))
    copy = Image.new("RGB", pixels.size)
    copy.paste(pixels)
    return copy
