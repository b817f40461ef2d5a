"""Kermany's chest radiographs of children aged 1 to 5: normal, bacterial or viral pneumonia by file name.

train_labels.csv.gz   file,label,cls,subtype,patient,orig_split,bytes,sha1
                      PNEUMONIA/person1_bacteria_1.jpeg,1,PNEUMONIA,bacteria,person1,train,7352,…
-> one case a film: one radiograph, questions with options, and a short report that says what the label says.

Person numbers repeat between the kinds of disease, so a patient is (kind, number); the split is by patient.
The labels know neither side nor lobe, so the reports do not either.
"""

import csv
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from p2med.errors import DataError, RecipeError
from p2med.ingest.tally import Yield
from p2med.schema.base import Frozen
from p2med.schema.case import QuestionAnswer, Split
from p2med.schema.identified import (
    IdentifiedCase,
    IdentifiedPatient,
    IdentifiedRecord,
    IdentifiedSeries,
    IdentifiedStudy,
)
from p2med.schema.terms import Modality, RecordKind, Section
from p2med.store import Rejected, resolve

COLUMNS = ("file", "subtype", "patient", "sha1")

# What each kind is called. `subtype` asks only of those that are ill.
OPTIONS: dict[str, dict[str, dict[str, str]]] = {
    "zh": {
        "pneumonia": {"normal": "正常", "bacteria": "肺炎", "virus": "肺炎"},
        "kind": {"normal": "正常", "bacteria": "细菌性肺炎", "virus": "病毒性肺炎"},
        "subtype": {"bacteria": "细菌性肺炎", "virus": "病毒性肺炎"},
    },
    "en": {
        "pneumonia": {"normal": "normal", "bacteria": "pneumonia", "virus": "pneumonia"},
        "kind": {"normal": "normal", "bacteria": "bacterial pneumonia", "virus": "viral pneumonia"},
        "subtype": {"bacteria": "bacterial pneumonia", "virus": "viral pneumonia"},
    },
}
REPORTS: dict[str, tuple[tuple[str, str], ...]] = {
    "normal": (
        ("双肺未见肺炎征象。", "正常。"),
        ("双肺野未见炎性改变。", "未见明显异常。"),
        ("所见肺野内未见炎性病变。", "胸部正常。"),
    ),
    "bacteria": (
        ("肺内可见肺炎征象。", "细菌性肺炎。"),
        ("肺野内可见炎性改变。", "考虑细菌性肺炎。"),
        ("肺内见炎性病变。", "肺炎，符合细菌性肺炎。"),
    ),
    "virus": (
        ("肺内可见肺炎征象。", "病毒性肺炎。"),
        ("肺野内可见炎性改变。", "考虑病毒性肺炎。"),
        ("肺内见炎性病变。", "肺炎，符合病毒性肺炎。"),
    ),
}


class Options(Frozen):
    images: str = "data:kermany_pediatric_cxr_224/train_images.zip"
    labels: str = "data:kermany_pediatric_cxr_224/train_labels.csv.gz"
    val: float = Field(0.15, gt=0, lt=1, description="share of the patients of each kind")
    seed: int = 0
    """Chooses the patients of the validation split."""


class Film(Frozen):
    file: str
    kind: str
    """normal, bacteria or virus."""
    patient: str
    sha1: str


def read(options: Options, root: Path) -> Yield:
    """One case a film; of exact copies the first is kept.

    Raises:
      RecipeError: the labels are not there.
      DataError: `columns_missing`, `table_unreadable`, `label_unknown`.
    """
    films = list(_films(resolve(options.labels, root)))
    held_out = _held_out({(f.kind, f.patient) for f in films}, options)
    seen: set[str] = set()
    for film in films:
        if film.sha1 in seen:
            yield Rejected(noun="case", id=_case_id(film), reason="duplicate_image")
            continue
        seen.add(film.sha1)
        yield _case(film, options, "val" if (film.kind, film.patient) in held_out else "train")


def _films(path: Path) -> Iterator[Film]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (table.fieldnames or ())]
            if missing:
                raise DataError("columns_missing", f"{path} has no column {', '.join(missing)}")
            for line, row in enumerate(table, 2):
                if row["subtype"] not in REPORTS:
                    raise DataError(
                        "label_unknown", f"{path} line {line}: subtype is none of {', '.join(REPORTS)}"
                    )
                yield Film(file=row["file"], kind=row["subtype"], patient=row["patient"], sha1=row["sha1"])
    except FileNotFoundError:
        raise RecipeError(
            f"there is no label table {path}; set P2MED_DATA to the folder of the data"
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("table_unreadable", f"{path}: {type(error).__name__}; is it whole?") from None


def _held_out(patients: set[tuple[str, str]], options: Options) -> set[tuple[str, str]]:
    """The same share of the patients of each kind, in the order of a hash."""
    found: set[tuple[str, str]] = set()
    for kind in REPORTS:
        ordered = sorted(
            (p for p in patients if p[0] == kind), key=lambda p: _number(options.seed, p[0], p[1])
        )
        found.update(ordered[: round(len(ordered) * options.val)])
    return found


def _case(film: Film, options: Options, split: Split) -> IdentifiedCase:
    case_id = _case_id(film)
    findings, impression = REPORTS[film.kind][_number(film.sha1, "report") % 3]
    series = IdentifiedSeries(
        series_uid=f"{case_id}/series",
        files=(f"{options.images}!{film.file}",),
        format="picture",
        modality=Modality.DX,
    )
    return IdentifiedCase(
        case_id=case_id,
        source="kermany",
        patient=IdentifiedPatient(patient_id=f"{film.kind}/{film.patient}"),
        studies=(IdentifiedStudy(study_uid=case_id, modality=Modality.DX, series=(series,)),),
        records=(
            IdentifiedRecord(
                record_id=f"{case_id}/report",
                kind=RecordKind.RADIOLOGY_REPORT,
                sections={Section.FINDINGS: findings, Section.IMPRESSION: impression},
                study_uid=case_id,
                joined_by="given",
            ),
        ),
        questions=tuple(_questions(film, case_id, split)),
        split=split,
        public=True,
    )


def _case_id(film: Film) -> str:
    return f"kermany/{film.file.removesuffix('.jpeg')}"


def _questions(film: Film, case_id: str, split: Split) -> Iterator[QuestionAnswer]:
    """Held-out films are asked everything, training films three questions.

    A training film that is normal is asked twice whether there is pneumonia; one that is not, once, and once
    of which kind. With as many questions for each of the three diagnoses (mix: max_per_category), each option
    of each question is then right equally often: no prior is learned from this set's share of pneumonia.
    """
    if split == "val":
        asked = [(lang, q) for lang in OPTIONS for q in OPTIONS[lang] if film.kind in OPTIONS[lang][q]]
    else:
        first, second = ("zh", "en") if _number(film.sha1, "language") % 2 else ("en", "zh")
        other = "pneumonia" if film.kind == "normal" else "subtype"
        asked = [(first, "pneumonia"), (second, other), (first if film.sha1 < "8" else second, "kind")]
    for lang, question in asked:
        answers = OPTIONS[lang][question]
        choices = sorted(set(answers.values()), key=lambda c: _number(film.sha1, lang, question, c))
        yield QuestionAnswer(
            question="", answer=answers[film.kind], choices=tuple(choices), study_uid=case_id
        )


def _number(*words: object) -> int:
    """A fixed number from words: what is drawn here does not depend on order or machine."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, words)).encode()).digest()[:8], "big")
