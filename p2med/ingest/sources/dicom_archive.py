"""DICOM without records: folders or zip archives of a public set.

dicom.zip!Lung_Dx-A0002/1-02.dcm  ->  one case a patient, its studies in time
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from p2med.ingest.charset_log import rereads
from p2med.ingest.header import SHORTEST_ID, Instance
from p2med.ingest.scan import scan, studies_of, study_of
from p2med.ingest.tally import Tally, Yield
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient
from p2med.store import Rejected


class Options(Frozen):
    archives: tuple[str, ...] = Field(min_length=1)
    """Folders or .zip archives; each is a set of its own, its patients are not those of another."""
    case_by: Literal["patient", "study"] = "patient"
    public: bool = True


def read(options: Options, root: Path) -> Yield:
    """One case a patient (or a study), in the order of archives, patients and dates."""
    for where in options.archives:
        found = scan(where, root, f"headers of {where}", uids_by_folder=True)
        instances = [i for i in found if isinstance(i, Instance)]
        yield from rereads(instances)
        yield from (r for r in found if isinstance(r, Rejected))
        cases = _cases(where, instances, options)
        passed = sum(len(s.files) for c in cases for study in c.studies for s in study.series)
        yield Tally("dicom_file", len(found), passed)
        yield from cases


def _cases(where: str, instances: list[Instance], options: Options) -> list[IdentifiedCase]:
    set_name = _set_name(where)
    groups: dict[tuple[str, str], list[tuple[str, list[Instance]]]] = {}
    for uid, members in studies_of(instances).items():
        patient = _patient_id(members[0], where)
        part = uid if options.case_by == "study" else ""
        groups.setdefault((patient, part), []).append((uid, members))
    cases = []
    for (patient, part), members_by_study in sorted(groups.items()):
        members = [i for _, m in members_by_study for i in m]
        studies = sorted(
            (study_of(m) for _, m in members_by_study),
            key=lambda s: (s.study_date is None, str(s.study_date), s.study_uid),
        )
        cases.append(
            IdentifiedCase(
                case_id="/".join(filter(None, (set_name, patient, part))),
                source=set_name,
                patient=_patient(set_name, patient, members),
                studies=tuple(studies),
                public=options.public,
            )
        )
    return cases


def _set_name(where: str) -> str:
    """The folder of an archive, or the folder itself: data:chest_ct/slices.zip -> chest_ct."""
    path = PurePosixPath(where.split(":", 1)[-1].rstrip("/"))
    return path.parent.name or path.stem if path.suffix.lower() == ".zip" else path.name


def _patient_id(instance: Instance, where: str) -> str:
    """The header's number; without one the file's folder; without a folder the study."""
    if instance.patient_id:
        return instance.patient_id
    inside = instance.file.removeprefix(where.rstrip("/"))[1:]
    return PurePosixPath(inside).parent.name or instance.study_uid


def _patient(set_name: str, number: str, members: list[Instance]) -> IdentifiedPatient:
    first = min(members, key=lambda i: (str(i.study_date), i.study_uid, i.instance_number))
    births = [i.birth_date for i in members if i.birth_date]
    ages = [i.age_days for i in members if i.age_days is not None]
    return IdentifiedPatient(
        patient_id=f"{set_name}/{number}",
        sex=first.sex,
        birth_date=births[0] if births else None,
        age_days=None if births or not ages else min(ages),
        names=_all(i.names for i in members),
        ids=_all([*(i.ids for i in members), (number,) if len(number) >= SHORTEST_ID else ()]),
        phones=_all(i.phones for i in members),
        addresses=_all(i.addresses for i in members),
    )


def _all(values: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({v for many in values for v in many}))
