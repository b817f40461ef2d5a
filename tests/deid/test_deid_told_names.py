"""A name that one text of a case tells surely goes from all its texts."""

from itertools import permutations
from pathlib import Path

import pytest

from p2med.deid.clean import Cleaner
from p2med.deid.known import Known
from p2med.deid.text import LAYERS, scrub
from p2med.deid.told_names import told_names
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient, IdentifiedRecord
from p2med.schema.terms import RecordKind, Section

TEXTS = ("班主任：连心安，陪同来院。", "夜间连心安照看，无特殊", "无特殊")


def cleaned(texts: tuple[str, ...]) -> dict[str, str]:
    records = tuple(
        IdentifiedRecord(record_id=t, kind=next(iter(RecordKind)), sections={next(iter(Section)): t})
        for t in texts
    )
    case = IdentifiedCase(
        case_id="1", source="a", patient=IdentifiedPatient(patient_id="7", names=("宋诗梓",)), records=records
    )
    done = Cleaner(b"k" * 32, Path("."), 365, "reject").clean(case)
    assert done.case and not done.rejected
    by_id = {r.record_id: "".join(r.sections.values()) for r in done.case.records}
    names = Cleaner(b"k" * 32, Path("."), 365, "reject").names
    return {t: by_id[names.name("record", t)] for t in texts}


def test_a_name_told_in_one_text_goes_from_the_others_in_any_order():
    alone = scrub(TEXTS[1], Known(), -30).text
    for order in permutations(TEXTS):
        found = cleaned(order)
        assert not any("连心安" in text for text in found.values())
        assert found[TEXTS[1]].endswith("无特殊") and found[TEXTS[2]] == TEXTS[2]
        assert found == {t: cleaned(TEXTS)[t] for t in order}
    assert "连心安" in alone, "the rules find it without help: plant another name"


@pytest.mark.parametrize(
    "text",
    ["家属：川崎病史", "医师：丁桂儿脐贴外用", "父亲高血压，母亲体健", "护士：高热时告知", "记录：李芳"],
)
def test_words_and_short_names_are_not_told(text):
    assert told_names([text]) == frozenset()


def test_a_told_name_is_searched_as_it_is_written_alone():
    known = Known.of(names=("宋诗梓",)).with_names(["连心安"])
    rules = [layer for layer in LAYERS if layer != "tagger"]
    assert scrub("心安药店，Xinan，连 心 安，诗梓", known, -30, layers=rules).text.endswith(
        "，Xinan，[姓名]，[姓名]"
    )
