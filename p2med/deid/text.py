"""Free text without identity: known values, formats, labels, names, places, dates; then a second look.

    患儿宋诗梓，家长宋晓东诉，电话13871896132 -> 患儿[姓名]，家长[姓名]诉，电话[电话]

Layers in the order of SAFETY 1.7; all run, their spans are joined. A text in which a known value, an identity
card or a phone is left after that does not pass.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from p2med.deid.beds import beds_before_names
from p2med.deid.child_names import child_name_spans
from p2med.deid.dates import date_spans
from p2med.deid.family_names import family_name_spans
from p2med.deid.folding import digits_of_words, fold
from p2med.deid.formats import format_spans
from p2med.deid.identity_numbers import holds_identity_number
from p2med.deid.keep import is_kept
from p2med.deid.known import Known, known_spans
from p2med.deid.labels import label_spans
from p2med.deid.latin_names import latin_name_spans
from p2med.deid.minority_names import minority_name_spans
from p2med.deid.name_score import is_chinese
from p2med.deid.names import find_cues, name_spans
from p2med.deid.pet_names import pet_name_spans
from p2med.deid.places import place_spans
from p2med.deid.repeated import repeated_names
from p2med.deid.signatures import signature_spans
from p2med.deid.tagger import agreed, tagger_spans
from p2med.deid.tagger_network import Odds, odds, rule_marks
from p2med.errors import PhiError

__all__ = ["Known", "Replaced", "Scrubbed", "fold", "left", "scrub"]

SURROGATE = {
    "name": "[姓名]",
    "phone": "[电话]",
    "address": "[住址]",
    "number": "[编号]",
    "digits": "[编号]",
    "id_number": "[证件号]",
    "permit": "[证件号]",
    "contact": "[联系方式]",
    "email": "[联系方式]",
    "url": "[网址]",
    "plate": "[车牌]",
    "bed": "[床号]",
    "hospital": "[医院]",
    "school": "[学校]",
    "company": "[单位]",
    "age": "[90岁以上]",
    "date": "[日期]",
}


@dataclass(frozen=True)
class Replaced:
    """A piece of the original text, [start, end), and what kind of thing it was."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True)
class Scrubbed:
    text: str
    replaced: tuple[Replaced, ...]


# Eight digits that are a day are one; a labelled number is none.
_RANK = {"date": 1, "number": 2, "digits": 3}
_Span = tuple[int, int, str, str]
_Places = list[tuple[int, int]]
LAYERS = ("known", "formats", "labels", "names", "places", "dates", "tagger")
# 12-31, 5.6, 3月, 12日: a measurement may look like this; 3月5日 is surely a day, and stays one.
_SHORT_DATE = re.compile(r"\d{1,2}(?:[./-]\d{1,2}|[月日号])")


def scrub(
    text: str, known: Known, offset_days: int, note: date | None = None, layers: Collection[str] = LAYERS
) -> Scrubbed:
    """Replace identity by surrogates and shift dates.

    Args:
      offset_days: the patient's date shift. note: the text's own (true) date, for dates without a year.
      layers: all of them, but for measuring what each is worth.

    Raises:
      PhiError: `known_value_left` or `identity_number_left`, when one is still there.
    """
    folded = fold(text)
    ruled = by_rules(folded, text, known, offset_days, note, layers)
    likely = odds(folded, rule_marks(len(folded), rule_spans(ruled))) if "tagger" in layers else None
    kept = joined(folded, ruled, likely)
    pieces, at = [], 0
    for start, end, _, surrogate in kept:
        pieces += [text[at:start], surrogate]
        at = end
    result = "".join([*pieces, text[at:]])
    if left(result, known):
        raise PhiError("known_value_left", "a known value of the patient is still in the text")
    if holds_identity_number(digits_of_words(fold(result))):
        raise PhiError("identity_number_left", "an identity card or a phone is still in the text")
    return Scrubbed(result, tuple(Replaced(s, e, "number" if k == "digits" else k) for s, e, k, _ in kept))


def by_rules(
    folded: str, text: str, known: Known, offset_days: int, note: date | None, layers: Collection[str]
) -> list[tuple[int, int, str, str, str]]:
    """(start, end, kind, surrogate, layer) of all that the rules find; spans may overlap."""
    listed = list(known_spans(folded, text, known)) if "known" in layers else []
    sure = [(start, end) for start, end, kind in listed if kind == "name"]
    found = [(start, end, kind, SURROGATE[kind], "known") for start, end, kind in listed]
    for layer, spans in _LAYER.items():
        if layer in layers:
            found += [
                (s, e, kind, SURROGATE[kind], layer) for s, e, kind in spans(folded, text, sure) if s < e
            ]
    names = [(start, end) for start, end, kind, *_ in found if kind == "name"]
    if "labels" in layers:
        beds = beds_before_names(folded, sorted(start for start, _ in names))
        found += [(start, end, "bed", SURROGATE["bed"], "labels") for start, end in beds]
    if "dates" in layers:
        moved = date_spans(folded, offset_days, note, [end for _, end in names])
        found += [(start, end, "date", day, "dates") for start, end, day in moved]
    return found


def rule_spans(ruled: Iterable[tuple[int, int, str, str, str]]) -> list[tuple[int, int, str]]:
    """What the tagger is told: everything but what is known of the patient."""
    return [(start, end, kind) for start, end, kind, _, layer in ruled if layer != "known"]


def joined(folded: str, ruled: Iterable[tuple[int, int, str, str, str]], likely: Odds | None) -> list[_Span]:
    """(start, end, kind, surrogate) of what goes, in order, without overlaps."""
    if likely is None:
        return _without_overlaps([s[:4] for s in ruled])
    return _with_tagged(
        _without_overlaps(list(_agreed(folded, ruled, likely))), _tagged(folded, likely), folded
    )


def left(text: str, known: Known) -> bool:
    """True when a known value is in the text, whatever its width, case or inner white space."""
    return next(known_spans(fold(text), text, known), None) is not None


def _names(folded: str, text: str, sure: _Places) -> Iterator[tuple[int, int, str]]:
    cues, inside = find_cues(folded)
    found = [
        (start, end)
        for start, end, by in name_spans(folded, cues, inside)
        if by == "label" or not is_kept(folded, start, end, announced=by == "role")
    ]
    found += [s for s in pet_name_spans(folded) if not is_kept(folded, *s, announced=True)]
    found += [s for s in child_name_spans(folded) if not is_kept(folded, *s, announced=True)]
    found += signature_spans(folded)
    found += family_name_spans(folded)
    found += [s for s in minority_name_spans(folded) if not is_kept(folded, *s, announced=True)]
    # A known name ends where it ends: 家属福禄|陪练, not 福禄陪 and not 禄陪练.
    found = [s for s in found if not any(first <= s[0] < last < s[1] for first, last in sure)]
    found += repeated_names(folded, found)
    found += latin_name_spans(folded, text, cues)
    yield from ((start, end, "name") for start, end in found)


def _places(folded: str, text: str, sure: _Places) -> Iterator[tuple[int, int, str]]:
    for start, end, kind in place_spans(folded):
        if end - start > 4 or not is_kept(folded, start, end):
            yield start, end, kind


_LAYER: dict[str, Callable[[str, str, _Places], Iterator[tuple[int, int, str]]]] = {
    "formats": lambda folded, text, sure: format_spans(folded),
    "labels": lambda folded, text, sure: label_spans(folded),
    "names": _names,
    "places": _places,
}


def _agreed(folded: str, ruled: Iterable[tuple[int, int, str, str, str]], likely: Odds) -> Iterator[_Span]:
    """What the rules found, less what the network is sure of being nothing."""
    for start, end, kind, surrogate, layer in ruled:
        sure_date = layer == "dates" and not _SHORT_DATE.fullmatch(folded, start, end)
        if layer in ("known", "formats") or kind in ("phone", "contact") or sure_date:
            yield start, end, kind, surrogate
        elif span := agreed(folded, likely, start, end, kind):
            yield *span, kind, surrogate


def _tagged(folded: str, likely: Odds) -> list[tuple[int, int, str]]:
    """What the network finds, and its names wherever else they stand."""
    found = list(tagger_spans(folded, likely))
    names = [(start, end) for start, end, kind in found if kind == "name"]
    return found + [(start, end, "name") for start, end in repeated_names(folded, names)]


def _with_tagged(kept: list[_Span], tagged: list[tuple[int, int, str]], folded: str) -> list[_Span]:
    """The network adds only what nothing else covers; beside a span of its kind it lengthens that."""
    if not tagged:
        return kept
    free = bytearray(b"\1") * len(folded)
    for start, end, *_ in kept:
        free[start:end] = bytes(end - start)
    added: list[_Span] = []
    for start, end, kind in tagged:
        in_part = 0 in free[start:end]
        at = start
        while (at := free.find(1, at, end)) >= 0:
            stop = free.find(0, at, end)
            stop = end if stop < 0 else stop
            # Of days the rules know where their numbers end: 1.|2022年, 2022102909|3015; but 2022年|秋.
            is_told = is_chinese if kind == "date" and in_part else str.isalnum
            if any(map(is_told, folded[at:stop])):
                added.append((at, stop, kind, SURROGATE[kind]))
                free[at:stop] = bytes(stop - at)
            at = stop
    whole: list[_Span] = []
    for span in sorted([*kept, *added]):
        last = whole[-1] if whole else None
        if last and last[1] == span[0] and last[3] == span[3] and (span in added or last in added):
            whole[-1] = (last[0], span[1], last[2], last[3])
        else:
            whole.append(span)
    return whole


def _without_overlaps(spans: list[_Span]) -> list[_Span]:
    """Earlier first, longer first; a span that begins inside another lengthens it, a date ends it."""
    kept: list[_Span] = []
    for span in sorted(spans, key=lambda s: (s[0], -s[1], _RANK.get(s[2], 0), s[2])):
        if kept and span[0] < kept[-1][1]:
            start, end, kind, surrogate = kept[-1]
            if span[2] == "digits" and span[1] <= end:
                continue
            if kind == "date" and span[2] != "date":
                # What begins with a date and is a number, a name or a place as a whole is no date.
                kept[-1] = (start, max(end, span[1]), span[2], span[3])
            elif span[1] > end and span[2] == "date" and kind != "date":
                # 谯城区\n|2023年6月19日: the place ends where the day begins.
                kept[-1] = (start, span[0], kind, surrogate)
                kept.append(span)
            elif span[1] > end and span[2] != "date":
                kept[-1] = (start, span[1], kind, surrogate)
            continue
        kept.append(span)
    return kept
