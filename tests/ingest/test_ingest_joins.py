"""Which report belongs to which study, which record and study to which visit."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.ingest.link import TextRow, join_reports, visit_by_time, visits_of
from p2med.schema.identified import IdentifiedSeries, IdentifiedStudy
from p2med.schema.terms import Modality, RecordKind

DAY = date(2022, 10, 29)


def study(uid, day=0, accession=None, modality=Modality.CR):
    series = IdentifiedSeries(series_uid=f"{uid}.1", files=("a",), format="dicom", modality=modality)
    when = DAY + timedelta(day)
    return IdentifiedStudy(
        study_uid=uid, accession_number=accession, study_date=when, modality=modality, series=(series,)
    )


def row(name, kind="radiology_report", day=0, patient="1", visit="", **more):
    when = None if day is None else DAY + timedelta(day)
    return TextRow(name, RecordKind(kind), patient, visit, when, {}, **more)


def reports(rows, studies, window=(0, 0), patients=None):
    patient_of = {s.study_uid: (patients or {}).get(s.study_uid, "1") for s in studies}
    return join_reports(rows, {s.study_uid: s for s in studies}, patient_of, window)


def test_a_number_joins_before_a_day_and_a_day_before_a_window():
    studies = [study("a", accession="X1"), study("b", 3), study("c", 6), study("d", 20)]
    rows = [
        row("r1", day=9, accession_number="X1"),
        row("r2", day=3),
        row("r3", day=7),
        row("r4", day=0, study_uid="d"),
    ]
    joins, refused = reports(rows, studies, (0, 2))
    assert {k: (j.study_uid, j.rule) for k, j in joins.items()} == {
        "r1": ("a", "accession_number"),
        "r2": ("b", "patient_and_date"),
        "r3": ("c", "patient_and_window"),
        "r4": ("d", "study_instance_uid"),
    }
    assert refused == {}


@pytest.mark.parametrize(
    "rows, studies, reason",
    [
        ([row("r", day=3)], [study("a")], "report_without_study"),
        ([row("r", day=1)], [study("a"), study("b")], "ambiguous_study"),
        ([row("r", day=1), row("q", day=1)], [study("a")], "ambiguous_study"),
        ([row("r", day=1, examination="CT")], [study("a")], "report_without_study"),
        ([row("r", day=1, accession_number="X9")], [study("a", accession="X1")], "report_without_study"),
        ([row("r", study_uid="z")], [study("a")], "report_without_study"),
        ([row("r", study_uid="a", patient="2")], [study("a")], "study_of_another_patient"),
        ([row("r", day=None)], [study("a")], "report_without_study"),
    ],
)
def test_what_is_not_certain_is_refused_by_name(rows, studies, reason):
    joins, refused = reports(rows, studies, (0, 2))
    assert not joins and set(refused.values()) == {reason} and len(refused) == len(rows)


def test_records_without_a_visit_number_find_their_stay():
    rows = [
        row("chief", "chief_round_record", 5),
        row("first", "first_course_record", 0),
        row("clinic", "outpatient_record", 0),
        row("attending", "attending_round_record", 1),
        row("again", "outpatient_record", 0),
        row("late", "chief_round_record", 90),
        row("none", "outpatient_record", None),
        row("other", "chief_round_record", 1, patient="2"),
    ]
    visits = visits_of(rows)
    assert visits.rules == {
        "first": "own_visit",
        "clinic": "own_visit",
        "again": "patient_and_date",
        "chief": "patient_and_window",
        "attending": "patient_and_window",
    }
    assert visits.refused == {
        "late": "record_without_visit",
        "none": "record_without_date",
        "other": "record_without_visit",
    }
    assert {v.encounter_class: len(v.rows) for v in visits.of.values()} == {"IMP": 3, "AMB": 2}


def test_two_visits_begun_on_one_day_are_not_chosen_between():
    visits = visits_of(
        [row("a", "outpatient_record", 0, visit="M1"), row("b", "first_course_record", 0, visit="Z1")]
    )
    assert visit_by_time(visits.of_patient["1"], DAY, (-1, 30)) is None


kinds = st.sampled_from([k.value for k in RecordKind if k is not RecordKind.CONSULTATION])
drawn = st.builds(
    lambda n, kind, day, patient, visit: (kind, day, patient, visit),
    st.integers(), kinds, st.integers(0, 9), st.sampled_from("12"), st.sampled_from(["", "V1", "V2"]),
)  # fmt: skip


@given(
    st.lists(drawn, max_size=12), st.lists(st.tuples(st.integers(0, 9), st.sampled_from("12")), max_size=6)
)
def test_every_row_joins_once_or_is_refused_once_and_never_to_another_patient(records, images):
    rows = [row(f"r{n}", k, d, p, v) for n, (k, d, p, v) in enumerate(records)]
    studies = [study(f"s{n}", d) for n, (d, _) in enumerate(images)]
    patients = {f"s{n}": p for n, (_, p) in enumerate(images)}
    written = [r for r in rows if r.kind is RecordKind.RADIOLOGY_REPORT]
    joins, refused = reports(written, studies, (0, 2), patients)
    assert {*joins, *refused} == {r.record_id for r in written} and not {*joins} & {*refused}
    assert all(
        patients[joins[r.record_id].study_uid] == r.patient_id for r in written if r.record_id in joins
    )
    assert len({j.study_uid for j in joins.values()}) == len(joins)
    visits = visits_of(rows)
    held = [r.record_id for v in visits.of.values() for r in v.rows]
    assert sorted(held + list(visits.refused)) == sorted(r.record_id for r in rows if r not in written)
    assert all(r.patient_id == v.patient_id for v in visits.of.values() for r in v.rows)
