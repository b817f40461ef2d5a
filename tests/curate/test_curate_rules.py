"""Splits by patient, the table of needed sections, counting tokens."""

import pytest
from curate_cases import outpatient, sentence
from hypothesis import given
from hypothesis import strategies as st

from p2med import plugins
from p2med.curate.config import SplitConfig
from p2med.curate.records import NEEDED, fault_of, token_counter
from p2med.curate.split import assign, leaks
from p2med.schema.terms import RecordKind
from p2med.store import data_folder
from p2med.tasks.base import RecordTask

CASES = st.lists(
    st.tuples(st.text(min_size=1, max_size=3), st.sampled_from([None, None, "train", "val", "bench"]))
)


@given(cases=CASES, seed=st.integers(0, 5))
def test_a_patient_is_on_one_side_and_a_preset_case_never_comes_to_training(cases, seed):
    split_of = assign(cases, SplitConfig(seed=seed))
    assert leaks((p, split_of[p]) for p, _ in cases) == 0
    for patient, preset in cases:
        if preset == "bench":
            assert split_of[patient] == "bench"
        if preset == "val":
            assert split_of[patient] in ("val", "bench")


def test_a_planted_leak_is_found():
    assert leaks([("a", "train"), ("b", "bench"), ("a", "bench")]) == 1


def test_a_patients_split_does_not_depend_on_who_else_is_there():
    everyone = [(f"p{n}", None) for n in range(4000)]
    split_of = assign(everyone, SplitConfig(val=0.1, bench=0.2))
    assert assign(everyone[:7], SplitConfig(val=0.1, bench=0.2)).items() <= split_of.items()
    shares = {s: sum(v == s for v in split_of.values()) / 4000 for s in ("train", "val", "bench")}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "bench": 0.2}, abs=0.03)


def test_the_needed_sections_are_the_outputs_of_the_tasks():
    tasks = [plugins.load("p2med.tasks", n).TASK for n in plugins.names("p2med.tasks")]
    of_kind = {t.kind: t.outputs for t in tasks if isinstance(t, RecordTask)}
    of_kind[RecordKind.RADIOLOGY_REPORT] = next(t for t in tasks if t.name == "xray_report").outputs
    assert of_kind == NEEDED and set(NEEDED) == set(RecordKind)


@pytest.mark.parametrize("section", ["preliminary_diagnosis", "treatment_recommendation", "treatment_plan"])
def test_any_missing_output_drops_the_record(section):
    whole = outpatient("o", 1).sections
    assert fault_of(RecordKind.OUTPATIENT_RECORD, whole, 100, 4000) is None
    for broken in ({**whole, section: " \n"}, {k: v for k, v in whole.items() if k != section}):
        assert fault_of(RecordKind.OUTPATIENT_RECORD, broken, 100, 4000) == ("missing_section", section)


def test_length_is_inclusive():
    whole = outpatient("o", 1).sections
    assert fault_of(RecordKind.OUTPATIENT_RECORD, whole, 4000, 4000) is None
    assert fault_of(RecordKind.OUTPATIENT_RECORD, whole, 4001, 4000)[0] == "too_long"


@pytest.mark.data
def test_the_real_tokenizer_counts_fewer_than_characters():
    path = data_folder() / "tokenizers/chinese_llama2_tokenizer.model"
    if not path.exists():
        pytest.skip("the shared tokenizers are absent")
    text = sentence(1, 300)
    assert 100 < token_counter(path)(text) < token_counter(None)(text) == 300
