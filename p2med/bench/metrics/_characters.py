"""How the text metrics see a text."""

import unicodedata


def characters(text: str) -> str:
    """Full width folded, lower case, no white space."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())
