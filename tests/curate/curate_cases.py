"""A small finished 2_deid folder, made by hand."""

import random
from pathlib import Path

import numpy as np

from p2med.schema.base import Frozen
from p2med.schema.case import Box, Case, Patient, QuestionAnswer, Record, Series, Study, Volume
from p2med.store import FolderWriter, verb_folder, write_volume

WORDS = "咳嗽发热三天伴喘息气促流涕食欲睡眠精神反应好转加重夜间明显予雾化口服退烧药复诊随访呼吸音粗湿啰"


class Section(Frozen):
    made: str = "by hand"


def sentence(seed: int, length: int = 120) -> str:
    return "".join(random.Random(seed).choices(WORDS, k=length))


def outpatient(record_id: str, seed: int, **sections: str) -> Record:
    whole = {
        "chief_complaint": sentence(seed, 20),
        "history_of_present_illness": sentence(seed + 10_000),
        "physical_examination": sentence(seed + 20_000, 60),
        "preliminary_diagnosis": "急性支气管炎",
        "treatment_recommendation": sentence(seed + 30_000, 30),
        "treatment_plan": sentence(seed + 40_000, 30),
    }
    return Record(record_id=record_id, kind="outpatient_record", sections={**whole, **sections})


def xray(root: Path, name: str, shape=(1, 40, 50), fill: int | None = None) -> Study:
    rng = np.random.default_rng(len(name) + int.from_bytes(name.encode()[-2:], "big"))
    pixels = rng.integers(0, 4000, shape).astype(np.int16) if fill is None else np.full(shape, fill, np.int16)
    write_volume(root / f"pixels/{name}.npy", pixels)
    volume = Volume(path=f"run:pixels/{name}.npy", shape=shape, dtype="int16", unit="stored")
    series = Series(series_uid=f"{name}.1", view_position="PA", volume=volume)
    return Study(study_uid=name, modality="DX", series=(series,))


def report(study: Study, impression: str = "支气管肺炎") -> Record:
    sections = {"findings": "两肺纹理增多，见斑片影。", "impression": impression}
    return Record(
        record_id=f"r{study.study_uid}", kind="radiology_report", sections=sections, study_uid=study.study_uid
    )


def case(n: int, patient: str | None = None, **fields) -> Case:
    return Case(case_id=f"c{n}", source="test", patient=Patient(patient_key=patient or f"p{n}"), **fields)


def hospital(root: Path, count: int = 12) -> list[Case]:
    """Good cases, and one of each fault that curate must name."""
    cases = []
    for n in range(count):
        study = xray(root, f"s{n}")
        cases.append(case(n, studies=(study,), records=(outpatient(f"o{n}", n), report(study))))
    blank, gone = xray(root, "blank", fill=7), xray(root, "gone")
    (root / "pixels/gone.npy").unlink()
    question = QuestionAnswer(question="哪一类？", answer="正常", choices=("正常", "肺炎"), study_uid="blank")
    box = Box(label="肺炎", xyxy=(10, 20, 30, 40), series_uid="s0.1")
    cases[0] = cases[0].model_copy(update={"boxes": (box,)})
    cases += [
        case(50, studies=(blank,), records=(report(blank),), questions=(question,)),
        case(51, studies=(gone,), records=(outpatient("o51", 51), report(gone))),
        case(52, records=(outpatient("o52", 52, treatment_plan="  "),)),
        case(53, records=(outpatient("o53", 53, history_of_present_illness="咳" * 5000),)),
        case(54, records=(outpatient("o54", 3),)),  # the same text as o3
        case(55, patient="p1", split="bench", records=(outpatient("o55", 55),)),
    ]
    return cases


def write_deid(root: Path, cases: list[Case], shard: int = 6) -> None:
    writer = FolderWriter(verb_folder(root, "deid"), "deid", Section(), [])
    for n, start in enumerate(range(0, len(cases), shard)):
        part = cases[start : start + shard]
        writer.write(n, part, Case, entered={"case": len(part)})
    writer.finish()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
