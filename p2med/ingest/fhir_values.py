"""Elements of FHIR resources as text: JSON that may have any shape, read without trust."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from p2med.imaging.identity import CHINESE

BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "dt", "dd"}
Resource = dict[str, Any]


def items(value: Any) -> list[Any]:
    """The members of an element that may be one, many or missing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def text_at(value: Any, *keys: str) -> str:
    """The string at a path of keys, the first where there are several; "" when there is none."""
    for key in keys:
        value = next((v[key] for v in items(value) if isinstance(v, dict) and v.get(key) is not None), None)
    found = next(iter(items(value)), "")
    return found.strip() if isinstance(found, str) else ""


def words_of(concept: Any) -> list[str]:
    """Text, displays and codes of a CodeableConcept (or several)."""
    found = []
    for c in items(concept):
        if isinstance(c, dict):
            found += [c.get("text"), c.get("display"), c.get("code")]
            found += [
                x for coding in items(c.get("coding")) for x in (coding.get("display"), coding.get("code"))
            ]
    return [w for w in found if w and isinstance(w, str)]


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.hidden += tag in ("script", "style")
        self.parts.append("\n" if tag in BLOCKS else "\t" if tag in ("td", "th") else "")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style") and self.hidden > 0
        self.parts.append("\n" if tag in BLOCKS and tag != "br" else "")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(" ".join(data.split("\n")))


def plain_text(xhtml: str) -> str:
    """The text of a narrative, one line a block."""
    parser = _Plain()
    parser.feed(xhtml)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def identities(resource: Resource) -> Iterator[tuple[str, str]]:
    """The names, numbers, phones and addresses of a person or place, with the kind of each.

    Raises:
      TypeError: a value is no string, so it could not be searched for in texts.
    """
    for kind, value in _identities(resource):
        if not isinstance(value, str):
            raise TypeError(kind)
        if value.strip():
            yield kind, value.strip()


def _identities(resource: Resource) -> Iterator[tuple[str, str]]:
    for name in items(resource.get("name")):
        if isinstance(name, str):  # an organisation's
            yield "addresses", name
            continue
        parts = [*items(name.get("family")), *items(name.get("given"))]
        whole = "".join(parts)
        for text in (text_at(name, "text"), whole if CHINESE.search(whole) else " ".join(parts), whole):
            if text:
                yield "names", text
    for identifier in items(resource.get("identifier")):
        if text_at(identifier, "value"):
            yield "ids", text_at(identifier, "value").removeprefix("urn:oid:")
    for contact in items(resource.get("telecom")):
        if text_at(contact, "value"):
            yield "phones", text_at(contact, "value")
    for address in items(resource.get("address")):
        lines = [*items(address.get("line")), text_at(address, "text"), text_at(address, "district")]
        yield from (("addresses", line) for line in lines if line)
