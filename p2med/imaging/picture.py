"""PNG and JPEG pictures -> grey values; nothing of the file but its pixels is kept."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from p2med.errors import DataError
from p2med.imaging.pixels import Pixels

MAX_PIXELS = 100_000_000
FORMATS = ("PNG", "JPEG")


def read_picture(content: bytes) -> Pixels:
    """Read a PNG or JPEG as grey.

    Returns:
      uint8[1, H, W], or uint16[1, H, W] for a 16-bit PNG; unit `stored`. EXIF turns the picture upright and
      is dropped with every other text of the file.

    Raises:
      DataError: `not_a_picture`, `picture_unreadable`, `picture_too_large`.
    """
    try:
        picture = Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise DataError("picture_too_large", f"more than {MAX_PIXELS} pixels") from None
    except (OSError, ValueError, SyntaxError):
        raise DataError("not_a_picture", "neither PNG nor JPEG") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise DataError("picture_too_large", f"more than {MAX_PIXELS} pixels")
    try:
        upright = ImageOps.exif_transpose(picture)
        return Pixels(_grey(upright)[None], "stored")
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DataError("picture_unreadable", type(error).__name__) from None


def _grey(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I"):  # 16-bit grey PNG; Pillow widens some of them to 32 bits
        return np.clip(np.asarray(picture), 0, 65535).astype(np.uint16)
    if picture.mode in ("P", "PA", "LA", "RGBA"):
        layered = picture.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(ground, layered).convert("RGB")
    return np.array(picture.convert("L"))
