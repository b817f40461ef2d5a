"""The page on which a specialist accepts, edits or rejects each item of the benchmark; no network is needed.

4_mix/bench-*.parquet ─► review.html ─► decisions.json (saved by the page) ─► mix.benchmark.decisions

Texts and images are inside the page. It keeps what was decided in the browser until it is saved, and opens
with an earlier file of decisions when one is given.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from p2med.errors import P2MedError
from p2med.mix.benchmark import Decisions, read_decisions
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn
from p2med.store import read_items, read_manifest, read_volume, write_text

SIDE = 240
SLICES = 8
TEMPLATE = Path(__file__).with_name("review.html")


def write_review(folder: Path, out: Path, decisions: Path | None = None) -> int:
    """Write the page for `folder`, a finished 4_mix.

    Returns:
      The number of items.

    Raises:
      P2MedError: the folder is not a finished mix, or its benchmark is empty.
      RecipeError: `decisions` is no review.
    """
    manifest = read_manifest(folder)
    if manifest is None or manifest.verb != "mix":
        raise P2MedError(f"{folder} is no finished mix; name a folder such as runs/demo/4_mix")
    items = list(read_items(folder, Conversation, "bench"))
    if not items:
        raise P2MedError(f"{folder} has no benchmark items to review")
    known = read_decisions(decisions) if decisions else Decisions()
    strange = len(known.decisions.keys() - {i.conversation_id for i in items})
    if decisions and strange == len(known.decisions) > 0:
        raise P2MedError(f"{decisions} decides on no item of {folder}; it belongs to another benchmark")
    page = TEMPLATE.read_text(encoding="utf-8")
    body = "\n".join(_item(n, item, folder.parent) for n, item in enumerate(items, 1))
    start = json.dumps(known.model_dump(mode="json"), ensure_ascii=False).replace("<", "\\u003c")
    name = hashlib.sha256("\0".join(i.conversation_id for i in items).encode()).hexdigest()[:12]
    values = {"ITEMS": body, "DECISIONS": start, "NAME": name, "COUNT": str(len(items))}
    # In one pass, so that a text with a mark in it stays a text.
    write_text(out, re.sub(r"\{\{([A-Z]+)\}\}", lambda m: values[m[1]], page))
    return len(items)


def _item(number: int, item: Conversation, root: Path) -> str:
    """One item: what is asked, with images, and one field for each answer."""
    parts = [
        f'<article data-id="{html.escape(item.conversation_id, quote=True)}">',
        f"<h2>{number} · {html.escape(item.task)}</h2>",
        f'<p class="labels">{html.escape("、".join(item.diseases) or "–")}</p>',
    ]
    parts += [p for turn in item.turns for p in _turn(turn, root)]
    parts.append(
        '<p class="verdict"><label><input type="radio" value="accept"> 通过 accept</label>'
        '<label><input type="radio" value="edit"> 修改 edit</label>'
        '<label><input type="radio" value="reject"> 剔除 reject</label>'
        '<input class="note" placeholder="备注 note"></p></article>'
    )
    return "\n".join(parts)


def _turn(turn: Turn, root: Path) -> Iterator[str]:
    if turn.role == "assistant":
        rows = turn.text.count("\n") + len(turn.text) // 60 + 1
        yield f'<textarea rows="{rows}" readonly>{html.escape(turn.text)}</textarea>'
        return
    for part in turn.content:
        if part.volume is not None:
            yield _image(part.volume, root)
        else:
            yield f"<pre>{html.escape((part.text or '').strip())}</pre>"


def _image(volume: Volume, root: Path) -> str:
    """The film, or up to SLICES slices of a CT side by side."""
    array = read_volume(volume.path, root)
    depth = len(array)
    chosen = array[((np.arange(min(depth, SLICES)) + 0.5) * depth / min(depth, SLICES)).astype(int)]
    grey = np.concatenate([np.asarray(_small(s)) for s in chosen], axis=1)
    sink = io.BytesIO()
    Image.fromarray(grey).save(sink, "PNG")
    written = base64.b64encode(sink.getvalue()).decode("ascii")
    return (
        f'<img alt="{depth} x {volume.shape[1]} x {volume.shape[2]}" src="data:image/png;base64,{written}">'
    )


def _small(image: np.ndarray) -> Image.Image:
    low, high = float(image.min()), float(image.max())
    grey = 255 * (image.astype(np.float32) - low) / max(high - low, 1e-6)
    return Image.fromarray(grey.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
