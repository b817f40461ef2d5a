"""One patient of the synthetic hospital: everything that depends on (seed, index), and on nothing else."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from p2med.schema.base import Frozen
from p2med.synth.config import SynthConfig
from p2med.synth.dicom import Pacs
from p2med.synth.illness import Examination, Visit, make_visits
from p2med.synth.people import HOSPITAL, Person, make_person
from p2med.synth.phantom import make_anatomy
from p2med.synth.texts import Sections, Writer

DAY = "%Y-%m-%d"
NEAR_DUPLICATE_SHARE = 0.08


class Made(Frozen):
    """What one patient adds to the hospital."""

    patient_id: str
    bench: bool
    rows: list[tuple[str, dict[str, str]]]
    files: list[tuple[str, bytes]]
    truth: dict[str, Any]
    identities: list[dict[str, str]]


def make_patient(index: int, config: SynthConfig) -> Made:
    """The whole patient; the same for the same (seed, index) in any process."""
    rng = np.random.default_rng([config.seed, index])
    bench = bool(rng.random() < config.bench_share)
    visits = make_visits(rng, index, config)
    person = make_person(rng, index, visits[0].day)
    pacs = Pacs(person, make_anatomy(rng), config, rng)
    writer = Writer("B" if bench else "A", rng, person)
    rows: list[tuple[str, dict[str, str]]] = [("患者信息.xlsx", _patient_row(person))]
    studies = []
    for visit in visits:
        for n, e in enumerate(visit.examinations):
            study_uid = pacs.examine(e)
            reported = not (index % 40 == 9 and n == len(visit.examinations) - 1)
            before = _before(visit, n)
            report = writer.report(e, before)
            if reported:
                rows.append(("影像报告.csv", _report_row(person, visit, e, report)))
            studies.append(_study_truth(e, study_uid, visit, reported))
        if index % 50 == 17 and visit.examinations:
            pacs.structured_report(visit.examinations[0])
        rows += _records(writer, rng, person, visit, index)
    if index % 60 == 5 and visits[0].examinations:
        rows.append(("影像报告.csv", _orphan_report(writer, person, visits[0])))
    truth = {
        "patient_id": person.patient_id,
        "bench": bench,
        "sex": person.sex,
        "birth_date": person.birth_date.isoformat(),
        "visits": [
            {"visit_id": v.visit_id, "inpatient": v.inpatient, "diagnosis": v.diagnosis, "day": f"{v.day}"}
            for v in visits
        ],
        "studies": studies,
    }
    return Made(
        patient_id=person.patient_id,
        bench=bench,
        rows=rows,
        files=pacs.files,
        truth=truth,
        identities=_identities(person) + [{"patient_id": person.patient_id, **p} for p in pacs.planted],
    )


def _before(visit: Visit, n: int) -> date | None:
    """The day of the examination of the same kind before this one."""
    mine = visit.examinations[n].modality == "CT"
    earlier = [e.day for e in visit.examinations[:n] if (e.modality == "CT") == mine]
    return earlier[-1] if earlier else None


def _study_truth(e: Examination, study_uid: str, visit: Visit, reported: bool) -> dict[str, Any]:
    return {
        "study_uid": study_uid,
        "accession_number": e.accession_number,
        "modality": e.modality,
        "day": e.day.isoformat(),
        "visit_id": visit.visit_id,
        "labels": list(e.lungs.labels),
        "lungs": e.lungs.model_dump(),
        "enhanced": e.enhanced,
        "lateral": e.lateral,
        "burned_in": e.burned_in,
        "burned_in_declared": e.burned_in_declared,
        "reported": reported,
    }


def _patient_row(p: Person) -> dict[str, str]:
    return {
        "病案号": p.patient_id,
        "姓名": p.name,
        "性别": "男" if p.sex == "M" else "女",
        "出生日期": f"{p.birth_date:{DAY}}",
        "身份证号": p.id_number,
        "家长姓名": p.guardian,
        "联系电话": p.phone,
        "家庭住址": p.address,
    }


def _report_row(p: Person, visit: Visit, e: Examination, report: Sections) -> dict[str, str]:
    return {
        "检查号": e.accession_number,
        "就诊号": visit.visit_id,
        "病案号": p.patient_id,
        "姓名": p.name,
        "检查日期": f"{e.day:%Y/%m/%d} 09:30",
        "检查类型": e.modality,
        "检查部位": "胸部",
        "影像表现": report["findings"],
        "影像诊断": report["impression"],
        "报告医师": p.senior,
    }


def _orphan_report(writer: Writer, p: Person, visit: Visit) -> dict[str, str]:
    """A report whose film was never archived."""
    e = visit.examinations[0]
    lost = e.model_copy(
        update={"accession_number": "DR9" + e.accession_number[3:], "day": e.day - timedelta(90)}
    )
    return {**_report_row(p, visit, lost, writer.report(lost, None)), "就诊号": ""}


def _records(
    writer: Writer, rng: np.random.Generator, p: Person, visit: Visit, index: int
) -> list[tuple[str, dict[str, str]]]:
    if not visit.inpatient:
        return _outpatient_rows(writer, rng, p, visit, index)
    first = writer.first_course(visit)
    rows = [("首次病程记录.xlsx", _first_course_row(p, visit, first))]
    for chief, name, doctor, after in (
        (False, "主治医师查房记录.xlsx", p.senior, 2),
        (True, "主任医师查房记录.xlsx", p.chief, 5),
    ):
        said = writer.senior_round(visit, chief)
        rows.append(
            (
                name,
                {
                    "住院号": visit.visit_id,
                    "病案号": p.patient_id,
                    "姓名": p.name,
                    "查房时间": f"{visit.day + timedelta(after):{DAY}} 08:30",
                    "病史特点": said["features"],
                    "补充病史及体征": said["additional"],
                    "诊断依据": said["basis"],
                    "目前诊断": said["diagnosis"],
                    "诊疗计划": said["plan"],
                    "医师": doctor,
                },
            )
        )
    return rows


def _first_course_row(p: Person, visit: Visit, said: Sections) -> dict[str, str]:
    return {
        "住院号": visit.visit_id,
        "病案号": p.patient_id,
        "姓名": p.name,
        "记录时间": f"{visit.day:{DAY}} 15:20",
        "现病史": said["history"],
        "体格检查": said["physical"],
        "辅助检查": said["auxiliary"],
        "病史特点": said["features"],
        "诊断依据": said["basis"],
        "入院诊断": said["diagnosis"],
        "诊疗计划": said["plan"],
        "医师": p.doctor,
    }


def _outpatient_rows(
    writer: Writer, rng: np.random.Generator, p: Person, visit: Visit, index: int
) -> list[tuple[str, dict[str, str]]]:
    said = writer.outpatient(visit)
    row = {
        "门诊号": visit.visit_id,
        "病案号": p.patient_id,
        "姓名": p.name,
        "就诊日期": f"{visit.day:{DAY}}",
        "科室": "呼吸科",
        "主诉": said["chief_complaint"],
        "现病史": said["history"].replace("，喉中", "，\n喉中"),
        "既往史": said["past"],
        "体格检查": said["physical"],
        "初步诊断": said["diagnosis"],
        "治疗建议": said["recommendation"],
        "处理意见": "" if index % 30 == 11 else said["plan"],
        "医师": p.doctor,
    }
    rows = [("门诊病历.csv", row)]
    if rng.random() < NEAR_DUPLICATE_SHARE:
        # The next day's visit, copied forward by the doctor: the source of near-duplicates in real charts.
        again = {**row, "门诊号": visit.visit_id + "F", "就诊日期": f"{visit.day + timedelta(1):{DAY}}"}
        rows.append(("门诊病历.csv", {**again, "治疗建议": row["治疗建议"] + "复诊。"}))
    return rows


def _identities(p: Person) -> list[dict[str, str]]:
    values = {
        "name": p.name,
        "pinyin": p.pinyin,
        "patient_id": p.patient_id,
        "id_number": p.id_number,
        "guardian": p.guardian,
        "phone": p.phone,
        "address": p.address,
        "school": p.school,
        "doctor": p.doctor,
        "senior": p.senior,
        "chief": p.chief,
        "hospital": HOSPITAL,
    }
    return [
        {"patient_id": p.patient_id, "where": "header or text", "kind": k, "value": v}
        for k, v in values.items()
    ]
