"""FHIR R4 bundles with their DICOM files become cases; what does not fit is refused by name."""

import base64
import copy
import json
import random
from collections import Counter

import pytest
from hospital_maker import dicom

from p2med.errors import RecipeError
from p2med.ingest.config import IngestConfig
from p2med.ingest.fhir_bundle import Bundles, read_bundles
from p2med.ingest.fhir_records import Reader
from p2med.ingest.fhir_values import plain_text
from p2med.ingest.join import JoinOptions, joined
from p2med.ingest.run import run
from p2med.ingest.scan import scan
from p2med.ingest.tally import Tally
from p2med.schema.identified import IdentifiedCase
from p2med.schema.terms import RecordKind, Section
from p2med.store import Rejected, read_items

CHILD = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"value": "330102201903020011"},
        {"type": {"coding": [{"code": "MR"}]}, "value": "１００１"},
    ],
    "name": [{"family": "林", "given": ["小豆"]}, {"text": "Lin Xiaodou"}],
    "telecom": [{"system": "phone", "value": "13900000001"}],
    "gender": "male",
    "birthDate": "2019-03-02",
    "address": [{"line": ["云南路8号"], "city": "滨江市"}],
    "contact": [{"name": {"text": "林大山"}, "telecom": [{"value": "13900000003"}]}],
}
DOCTOR = {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "周", "given": ["问樵"]}]}
CLINIC = {
    "resourceType": "Encounter",
    "id": "e1",
    "identifier": [{"value": "MZ1"}],
    "status": "finished",
    "class": {"code": "AMB"},
    "subject": {"reference": "Patient/p1"},
    "participant": [{"individual": {"reference": "Practitioner/d1"}}],
    "serviceProvider": {"display": "阳光儿童医院"},
}
STAY = CLINIC | {"id": "e2", "identifier": [{"value": "ZY1"}], "class": {"code": "IMP"}}
IMAGES = {
    "resourceType": "ImagingStudy",
    "id": "i1",
    "status": "available",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.1"}],
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
}
REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "status": "final",
    "category": [{"coding": [{"code": "RAD"}]}],
    "code": {"text": "胸部正位DR"},
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "http://his/fhir/Encounter/e1/_history/3"},
    "effectiveDateTime": "2022-10-29T08:30:00+08:00",
    "performer": [{"display": "吴读片"}],
    "imagingStudy": [{"reference": "ImagingStudy/i1"}],
    "conclusion": "支气管炎。",
    "presentedForm": [
        {
            "contentType": "text/plain",
            "data": base64.b64encode("影像所见：两肺纹理增多。\n诊断意见：炎症".encode()).decode(),
        }
    ],
}  # fmt: skip
NOTE = {
    "resourceType": "Composition",
    "id": "c1",
    "status": "final",
    "type": {"text": "门诊病历"},
    "title": "病历",
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
    "date": "2022-10-29",
    "author": [{"reference": "#me"}],
    "contained": [{"resourceType": "Practitioner", "id": "me", "name": [{"text": "郑写字"}]}],
    "section": [
        {"title": "主诉", "text": {"div": "<div xmlns='http://www.w3.org/1999/xhtml'>咳嗽4天<br/>发热1天</div>"}},
        {"title": "其他", "section": [{"title": "查体", "text": {"div": "<div>咽红 &lt;3&gt;</div>"}}]},
        {"title": "个人史", "text": {"div": "<div>足月顺产</div>"}},
    ],
}  # fmt: skip
COURSE = NOTE | {
    "id": "c2",
    "type": {"coding": [{"display": "首次病程记录"}]},
    "encounter": {"reference": "Encounter/e2"},
    "date": "2022-11-01",
    "section": [{"text": {"div": "<div><p>病例特点：1.起病急。</p><p>诊疗计划：抗感染。</p></div>"}}],
}
ALL = [CHILD, DOCTOR, CLINIC, STAY, IMAGES, REPORT, NOTE, COURSE]


def bundle(*resources) -> dict:
    entries = [{"fullUrl": f"urn:uuid:{r.get('id')}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pacs")
    dicom(folder / "a.dcm", "1.1", "1.1.1", 1, PatientID="330102201903020011")
    dicom(folder / "b.dcm", "1.2", "1.2.1", 1, StudyDate="20221102")
    return folder


@pytest.fixture(scope="module")
def images(pacs):
    return scan(str(pacs), pacs)


def join(bundles, images=(), **kinds):
    """Reasons for refusal, and cases; every resource has one verdict."""
    found = list(joined("fhir", Reader(bundles, kinds).read(), images, frozenset(), JoinOptions()))
    (tally,) = [f for f in found if isinstance(f, Tally) and f.noun == "fhir_resource"]
    refused = Counter(f.reason for f in found if isinstance(f, Rejected) and f.noun == "fhir_resource")
    assert tally.entered == tally.passed + refused.total()
    cases = [f for f in found if isinstance(f, IdentifiedCase)]
    return dict(refused), {c.case_id.removeprefix("fhir/"): c for c in cases}


def read(*resources, images=(), **kinds):
    bundles = Bundles()
    bundles.add("a", bundle(*resources))
    return join(bundles, images, **kinds)


def test_the_verb_reads_bundles_beside_dicom(tmp_path, pacs):
    (tmp_path / "fhir").mkdir()
    (tmp_path / "fhir" / "a.json").write_text(json.dumps(bundle(*ALL), ensure_ascii=False), encoding="utf-8")
    source = {"kind": "fhir", "bundles": str(tmp_path / "fhir"), "dicom_dir": str(pacs)}
    manifest = run(IngestConfig.model_validate({"sources": [source]}), tmp_path / "run")
    assert {k: (c.entered, c.rejected) for k, c in manifest.counts.items()} == {
        "case": (2, 0),
        "dicom_file": (2, 0),
        "fhir_resource": (8, 0),
    }
    cases = list(read_items(tmp_path / "run" / "1_ingest", IdentifiedCase))
    assert [c.case_id for c in cases] == ["fhir/1001/MZ1", "fhir/1001/ZY1"]


def test_a_bundle_becomes_visits_with_their_records_and_images(images):
    rejected, cases = read(*ALL, images=images)
    assert rejected == {} and list(cases) == ["1001/MZ1", "1001/ZY1"]
    clinic, stay = cases.values()
    assert [c.encounter_class for c in cases.values()] == ["AMB", "IMP"]
    report, note = clinic.records
    assert report.sections == {Section.FINDINGS: "两肺纹理增多。", Section.IMPRESSION: "支气管炎。"}
    assert (report.study_uid, report.joined_by) == ("1.1", "study_instance_uid")
    assert str(report.authored_on) == "2022-10-29"
    assert note.sections == {
        Section.CHIEF_COMPLAINT: "咳嗽4天\n发热1天",
        Section.PHYSICAL_EXAMINATION: "咽红 <3>",
    }
    assert [(s.study_uid, s.joined_by) for s in clinic.studies] == [("1.1", "report_visit_number")]
    assert [(s.study_uid, s.joined_by) for s in stay.studies] == [("1.2", "patient_and_window")]
    assert list(stay.records[0].sections) == [
        Section.CLINICAL_HISTORY_FEATURES,
        Section.DIAGNOSTIC_AND_TREATMENT_PLAN,
    ]


def test_everyone_who_is_named_is_known(images):
    patient = read(*ALL, images=images)[1]["1001/MZ1"].patient
    assert {"林小豆", "Lin Xiaodou", "林大山", "周问樵", "吴读片", "郑写字", "阳光儿童医院"} <= set(
        patient.names
    )
    assert {"330102201903020011", "MZ1", "1.1"} <= set(patient.ids)
    assert set(patient.phones) == {"13900000001", "13900000003"} and "云南路8号" in patient.addresses
    assert (patient.sex, str(patient.birth_date)) == ("M", "2019-03-02")


def test_an_imaging_study_alone_brings_its_images_to_its_visit(images):
    _, cases = read(*(r for r in ALL if r is not REPORT), images=images)
    assert [(s.study_uid, s.joined_by) for s in cases["1001/MZ1"].studies] == [("1.1", "imaging_study")]


def test_bulk_export_and_bundle_give_the_same(images, tmp_path):
    lines = [json.dumps(r, ensure_ascii=False) for r in ALL]
    (tmp_path / "b.ndjson").write_text("\n".join(lines[::-1]), encoding="utf-8")
    found = [read(*ALL, images=images), join(read_bundles(tmp_path, "fhir"), images)]
    texts = [[[r.sections for r in c.records] for c in cases.values()] for _, cases in found]
    assert texts[0] == texts[1] and len(texts[0]) == 2


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"id": "r1", "status": "preliminary"}, "not_final"),
        ({"id": "r1", "category": [{"coding": [{"code": "LAB"}]}]}, "not_a_radiology_report"),
        ({"id": "r1", "imagingStudy": [{"reference": "ImagingStudy/none"}]}, "reference_missing"),
        ({"id": "r1", "subject": {"reference": "Patient/none"}}, "patient_unknown"),
        ({"id": "r1", "presentedForm": [], "conclusion": ""}, "empty_record"),
        ({"id": "r1", "presentedForm": [{"data": "not base64!"}]}, "bad_resource"),
        ({"id": "r1", "effectiveDateTime": "gestern"}, "bad_date"),
        ({"id": "r1", "code": [["?"]], "subject": 7}, "patient_unknown"),
        ({"id": "i1", "identifier": []}, "study_uid_missing"),
        ({"id": "c1", "type": {"text": "护理记录"}}, "kind_unknown"),
        ({"id": "c1", "encounter": {"reference": "Encounter/none"}}, "reference_missing"),
        ({"id": "c1", "section": [{"title": "个人史"}]}, "empty_record"),
        ({"id": "c1", "author": "me", "section": "x"}, "bad_resource"),
        ({"id": "d1", "resourceType": "MedicationRequest"}, "resource_not_used"),
        ({"id": "d1", "resourceType": 7}, "bad_resource"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed, reason):
    resources = [r | changed if r["id"] == changed["id"] else r for r in ALL]
    rejected, _ = read(*resources)
    assert rejected.get(reason), rejected


def test_a_visit_of_another_patient_and_a_second_version_are_refused(images):
    twin = CHILD | {"id": "p2", "identifier": [{"value": "1002"}]}
    stray = NOTE | {"id": "c9", "subject": {"reference": "Patient/p2"}}
    rejected, _ = read(*ALL, twin, stray, copy.deepcopy(NOTE), NOTE | {"date": "2022-10-30"}, images=images)
    assert rejected == {
        "encounter_of_another_patient": 1,
        "duplicate_resource": 1,
        "two_versions_of_resource": 1,
    }
    double = CHILD | {"id": "p3"}
    assert read(*ALL, double, images=images)[0] == {"duplicate_patient": 1}


def test_a_composition_of_the_hospitals_own_type_is_named_in_the_recipe(images):
    own = NOTE | {"type": {"text": "急诊留观"}}
    resources = [own if r is NOTE else r for r in ALL]
    rejected, cases = read(*resources, images=images, 急诊留观=RecordKind.OUTPATIENT_RECORD)
    assert rejected == {} and len(cases["1001/MZ1"].records) == 2


def test_files_that_are_no_fhir_are_refused_one_by_one(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(bundle(*ALL)))
    (tmp_path / "b.json").write_text('{"resourceType": "Bundle", "entry": [')
    (tmp_path / "c.json").write_text("[" * 100_000)
    (tmp_path / "d.json").write_bytes(b"\xff\xff\xff\x81" * 99)
    (tmp_path / "e.pdf").write_bytes(b"%PDF")
    (tmp_path / "f.json").write_text('{"resourceType": "Bundle", "entry": [7, {"resource": null}]}')
    rejected, cases = join(read_bundles(tmp_path, "fhir"))
    assert rejected == {"bad_json": 3, "not_fhir_json": 1, "bad_resource": 2, "report_without_study": 1}
    assert len(cases) == 2
    with pytest.raises(RecipeError, match="no FHIR file or folder"):
        read_bundles(tmp_path / "nowhere", "nowhere")


def test_a_mutated_bundle_never_fails_and_never_loses_count():
    """Any value of the bundle replaced by another kind of value: each resource still has one verdict."""
    rng, rejected = random.Random(5), Counter()
    for _ in range(1500):
        resources = copy.deepcopy(ALL)
        for _ in range(rng.randint(1, 3)):
            spoil(rng.choice(resources), rng)
        rejected.update(read(*resources)[0])
    assert len(rejected) > 10 and rejected["bad_resource"] > 100


def spoil(value, rng):
    """Replace one element at a random depth."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(value[key], (dict, list)) and rng.random() < 0.7:
            value = value[key]
            continue
        value[key] = rng.choice([None, 7, "x", [], {}, [[]], {"a": 1}, True, ["x", 7]])
        return


def test_narratives_become_lines():
    table = "<table><tr><td>T</td><td>38</td></tr></table>"
    xhtml = f"<div><style>p{{}}</style><h3>主诉</h3><p>咳嗽\n4天 &amp; 发热</p>{table}</div>"
    assert plain_text(xhtml) == "主诉\n咳嗽 4天 & 发热\nT 38"
    assert plain_text("没有标记") == "没有标记" and plain_text("<p>破<b>损") == "破损"
