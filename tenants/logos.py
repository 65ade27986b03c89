"""A tenant's logo: whatever was uploaded, drawn anew as a small picture of ours and kept."""

import hashlib
import io
import warnings
from typing import IO

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageOps

from tenants import context
from tenants.models import Tenant
from tenants.settling import WrongSetting

LARGEST = 2 * 1024 * 1024
MOST_PIXELS = 20_000_000
SIDE = 256
TYPE = "image/png"
# By their content, whatever the file says of itself; never SVG, which can carry scripts.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def keep(number: int, upload: IO[bytes], size: int) -> str:
    """Where the logo now lies, to be kept as a setting; or `WrongSetting`."""
    if size > LARGEST:
        raise WrongSetting("logo", _("The logo may have 2 MB at most."))
    drawn = _drawn(upload)
    path = f"{context.folder_of(number)}/logo/{hashlib.sha256(drawn).hexdigest()}.png"
    if not default_storage.exists(path):
        default_storage.save(path, ContentFile(drawn))
    return path


def content_of(tenant: Tenant) -> bytes:
    """The tenant's logo; `FileNotFoundError` where it has none."""
    if not tenant.logo:
        raise FileNotFoundError("no logo")
    with default_storage.open(tenant.logo) as opened:
        return opened.read()


def discard(path: str) -> None:
    """Remove a logo that is no longer the tenant's."""
    if path:
        default_storage.delete(path)


def _drawn(upload: IO[bytes]) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _small(upload)
    except WrongSetting:
        raise
    # Broken pictures end in any of a dozen errors of the decoders.
    except Exception as exc:
        raise WrongSetting("logo", _("Give a picture: PNG, JPEG, WebP or GIF.")) from exc


def _small(upload: IO[bytes]) -> bytes:
    upload.seek(0)
    with Image.open(upload, formats=_FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise WrongSetting("logo", _("This picture is too large."))
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    upright.save(written, "PNG", optimize=True)
    return written.getvalue()
