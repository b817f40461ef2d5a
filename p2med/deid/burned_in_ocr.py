"""Burned-in text as RapidOCR's detector sees it: a second opinion beside strokes, `pip install p2med[ocr]`.

It finds places and reads none of them: no recogniser is loaded, so no text can get into a log or a file. Its
weights lie in the package; without them it stops, and fetches nothing.
"""

import importlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from p2med.errors import P2MedError

TIMES_SLOWER = 6
"""So many times the seconds of a file that is only read; a megapixel takes 0.3 s, a slice the same."""
LONGEST_SIDE_PX = 1600
"""Longer pictures are scaled down: 2,000 x 2,000 pixels need all of the memory that a reader may have."""
MODEL = "models/PP-OCRv6_det_small.onnx"
LETTER = 0.5, 1.2
"""Width in heights of a box around one letter or sign, a side marker; narrower is a line that runs down."""


def require_ocr() -> None:
    """Stop before any work when the extra is missing.

    Raises:
      P2MedError: it is.
    """
    if not all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime")):
        raise P2MedError("the OCR search needs RapidOCR: pip install 'p2med[ocr]'")


def read_boxes(grey: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Where uint8[H, W] seems to hold text of more than one letter: top, bottom, left, right, outside."""
    rgb = np.repeat(grey[..., None], 3, axis=2)
    quads = _detector()(rgb, use_det=True, use_cls=False, use_rec=False).boxes
    boxes = []
    for quad in () if quads is None else quads:
        (left, top), (right, bottom) = np.floor(quad.min(0)).astype(int), np.ceil(quad.max(0)).astype(int)
        if not LETTER[0] <= (right - left) / max(1, bottom - top) < LETTER[1]:
            boxes.append((int(top), int(bottom), int(left), int(right)))
    return sorted(boxes)


@lru_cache(maxsize=1)
def _detector() -> Any:
    require_ocr()
    package = importlib.import_module("rapidocr")
    model = Path(package.__file__ or "").parent / MODEL
    if not model.is_file():
        raise P2MedError(f"this RapidOCR holds no {MODEL}: pip install 'p2med[ocr]'")
    importlib.import_module("cv2").setNumThreads(1)
    options = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    # The path is named so that nothing is looked up, let alone downloaded.
    options |= {"Global.log_level": "critical", "Global.max_side_len": LONGEST_SIDE_PX}
    options |= {"Det.model_path": str(model)}
    return package.RapidOCR(params=options)
