"""The sections of a radiology report or a composition in FHIR R4."""

import base64
import binascii
from collections.abc import Iterator

from p2med.errors import DataError
from p2med.imaging.identity import CHINESE
from p2med.ingest.fhir_bundle import Bundles
from p2med.ingest.fhir_values import Resource, items, plain_text, text_at, words_of
from p2med.ingest.sections import section_of_heading, split
from p2med.schema.terms import RecordKind, Section


def report_sections(resource: Resource, bundles: Bundles) -> dict[Section, str]:
    """Of the attached text, the results and the narrative; the conclusion is the impression."""
    texts = [_attached(a) for a in items(resource.get("presentedForm"))]
    for reference in items(resource.get("result")):
        result = bundles.follow(reference, resource) or {}
        heading = next((w for w in words_of(result.get("code")) if CHINESE.search(w)), "")
        texts.append(f"{heading}：{text_at(result, 'valueString')}")
    texts.append(plain_text(text_at(resource, "text", "div")))
    found: dict[Section, str] = {}
    for text in texts:
        found = split(text, RecordKind.RADIOLOGY_REPORT) | found
    if conclusion := text_at(resource, "conclusion"):
        found[Section.IMPRESSION] = conclusion
    return found


def _attached(attachment: Resource) -> str:
    kind = text_at(attachment, "contentType").partition(";")[0]
    if kind not in ("text/plain", "text/html", "application/xhtml+xml", ""):
        return ""
    try:
        text = base64.b64decode(text_at(attachment, "data"), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise DataError("bad_resource", "an attachment that is no UTF-8 text in base64") from None
    return text if kind == "text/plain" else plain_text(text)


def composition_sections(resource: Resource, kind: RecordKind) -> dict[Section, str]:
    """By the titles of its sections at any depth; what has no known title, by the headings in its text."""
    found: dict[Section, str] = {}
    for part in _parts(resource):
        text = plain_text(text_at(part, "text", "div"))
        titles = [text_at(part, "title"), *words_of(part.get("code"))]
        section = next((s for t in titles if (s := section_of_heading(t, kind))), None)
        for s, t in ({section: text} if section else split(text, kind)).items():
            if t:
                found[s] = f"{found[s]}\n{t}" if s in found else t
    return found or split(plain_text(text_at(resource, "text", "div")), kind)


def _parts(resource: Resource) -> Iterator[Resource]:
    for part in items(resource.get("section")):
        yield part
        yield from _parts(part)
