"""Values of a header, rebuilt one by one by the rules of an allow-list."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from p2med.deid.dicom_allowed import Allowed
from p2med.deid.dicom_values import Codes, Items, Secrets
from p2med.imaging.header import multiple

# Elements of type 2: an empty one says that the value is unknown, a missing one is an error.
_EMPTY_WHEN_UNKNOWN = (
    *("StudyDate", "SeriesNumber", "InstanceNumber", "KVP", "AcquisitionNumber"),
    *("Laterality", "PatientOrientation", "SliceThickness"),
)


def copy(source: Dataset, clean: Dataset, allowed: Allowed, secrets: Secrets) -> None:
    """Rebuild what `allowed` names; the VR is the standard's, whatever the file says."""
    for keyword, rule in allowed.items():
        if keyword not in source:
            continue
        value = value_of(source, keyword)
        if isinstance(rule, Items | Codes):
            items = _items(value, rule, secrets)
            if items is not None:
                put(clean, keyword, items)
            continue
        values = rule(multiple(value), secrets) if value is not None else None
        if values is None and keyword in _EMPTY_WHEN_UNKNOWN:
            values = []
        if values is not None:
            put(clean, keyword, values)


def _items(value: Any, rule: Items | Codes, secrets: Secrets) -> list[Dataset] | None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    items = [i for i in value if isinstance(i, Dataset)]
    if isinstance(rule, Codes):
        return [c for i in items[:9] if (c := _code(i, rule)) is not None]
    if rule.most == 0:
        return []
    if len(items) > rule.most:
        return None
    made = []
    for item in items:
        made.append(Dataset())
        copy(item, made[-1], dict(rule.allowed), secrets)
    return made


def _code(item: Dataset, rule: Codes) -> Dataset | None:
    scheme, code = (str(item.get(k) or "").strip() for k in ("CodingSchemeDesignator", "CodeValue"))
    meaning = rule.meanings.get((scheme, code))
    return coded(code, scheme, meaning) if meaning else None


def coded(code: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code, scheme, meaning
    return made


def put(clean: Dataset, keyword: str, values: list[Any]) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag)
    if vr == "DS":
        values = [_decimal_string(v) for v in values]
    whole = vr == "SQ" or len(values) > 1
    clean.add_new(tag, vr, values if whole else values[0] if values else None if vr != "PN" else "")


def _decimal_string(value: float) -> str:
    """As precise as 16 characters allow (PS3.5 6.2)."""
    for places in range(12, 0, -1):
        text = f"{value:.{places}f}".rstrip("0").rstrip(".")
        if len(text) <= 16:
            return text
    return str(round(value))


def values_of(dataset: Dataset) -> Iterator[Any]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from values_of(item)
        else:
            yield from multiple(element.value)


def value_of(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:  # a malformed value may raise anything when it is converted
        return None


def first_text(dataset: Dataset, keyword: str) -> str:
    """The first value as text; "" when there is none that can be read."""
    values = multiple(value_of(dataset, keyword))
    return str(values[0]).strip(" \0") if values else ""
