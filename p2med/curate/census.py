"""Who and what is in the finished folder: the counts behind the paper's Figure 6."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

DAYS_A_YEAR = 365.25


def census(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Patients by sex, visits by age in years, images by view.

    Args:
      rows: the columns `patient` and `studies` of cases.
    """
    sex: dict[str, str] = {}
    ages: Counter[int] = Counter()
    images: Counter[str] = Counter()
    studies: Counter[str] = Counter()
    unknown = 0
    for row in rows:
        patient = row["patient"]
        sex[patient["patient_key"]] = patient["sex"] or "unknown"
        if patient["age_days"] is None:
            unknown += 1
        else:
            ages[int(patient["age_days"] / DAYS_A_YEAR)] += 1
        for study in row["studies"]:
            ct = study["modality"] == "CT"
            studies["ct" if ct else "xray"] += 1
            images.update(_view(ct, series) for series in study["series"])
    return {
        "sex": dict(sorted(Counter(sex.values()).items())),
        "age_years": {str(a): ages[a] for a in sorted(ages)},
        "age_unknown": unknown,
        "studies": dict(sorted(studies.items())),
        "images": dict(sorted(images.items())),
    }


def _view(ct: bool, series: Mapping[str, Any]) -> str:
    if ct:
        return "ct_contrast" if series["contrast"] else "ct_non_contrast"
    return "xray_lateral" if series["view_position"] in ("LL", "RL") else "xray_frontal"
