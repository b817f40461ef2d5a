"""A PNG that shows a whole series at once, for a person to look at."""

import math
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from p2med.imaging.transform import evenly

TILE = 160
LINE = 14
MAX_TILES = 30


def contact_sheet(array: np.ndarray, caption: str = "") -> bytes:
    """Draw slices in a grid, each with its number, and a caption above.

    Args:
      array: float[D, H, W] in [0, 1].
      caption: technical facts, one or more lines; characters outside ASCII are shown as `?`, for the
        built-in font has no others.

    Returns:
      A PNG file. At most 30 slices are shown, evenly chosen.
    """
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"an image has the shape [D, H, W], got {list(array.shape)}")
    shown = evenly(array.shape[0], MAX_TILES)
    across = 1 if len(shown) == 1 else min(6, math.ceil(math.sqrt(len(shown))))
    tile = 3 * TILE if across == 1 else TILE
    lines = caption.encode("ascii", "replace").decode().splitlines()
    top = LINE * len(lines) + 6
    down = math.ceil(len(shown) / across)
    sheet = Image.new("L", (max(across * tile, 3 * TILE), top + down * tile), 0)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for n, line in enumerate(lines):
        draw.text((4, 2 + n * LINE), line, fill=255, font=font)
    for n, index in enumerate(shown):
        grey = np.clip(np.nan_to_num(array[index].astype(np.float32)), 0, 1) * 255
        picture = Image.fromarray(np.rint(grey).astype(np.uint8))
        picture.thumbnail((tile, tile), Image.Resampling.BILINEAR)
        x, y = (n % across) * tile, top + (n // across) * tile
        sheet.paste(picture, (x, y))
        draw.text((x + 3, y + 2), str(int(index)), fill=255, font=font)
    out = BytesIO()
    sheet.save(out, format="PNG", optimize=False)
    return out.getvalue()
