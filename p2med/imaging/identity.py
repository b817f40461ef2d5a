"""One spelling for one thing: the same child must be one patient in every table and on every scanner.

patient number   "　ｐ10 01"  ->  P1001          name   Zhang^San=阿依古丽 • 买买提  ->  阿依古丽买买提
"""

import re
import unicodedata

DOTS = re.compile(r"[·•‧・･∙⋅.．•᛫]")
CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff〇\U00020000-\U0003ffff]")


def canonical_id(text: str) -> str:
    """Width folded, no white space, no control characters, capitals: what deid's pseudonyms also hash."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if c.isprintable() and not c.isspace()).upper()


def canonical_name(name: str) -> str:
    """A DICOM name in one spelling: the ideographic group if there is one; no blanks, carets or dots."""
    groups = [unicodedata.normalize("NFKC", g) for g in name.split("=")]
    chosen = next((g for g in groups if CHINESE.search(g)), next((g for g in groups if g.strip("^ ")), ""))
    if CHINESE.search(chosen):
        return "".join(DOTS.sub("", chosen).replace("^", "").split())
    return " ".join(chosen.replace("^", " ").split()).upper()
