"""Which series of a study the model sees, and why (P2Med Sec. V-C.1): pure functions on facts."""

import re
from collections.abc import Sequence

from p2med.schema.base import Frozen
from p2med.schema.case import Series, Study
from p2med.schema.terms import Modality

# Siemens B50f..B80f, I50f..I80f and Bl.., GE LUNG, Philips L and YA..YD, Canon FC50..FC59 and FC80..FC89.
_LUNG_KERNEL = re.compile(r"[BI][5-8]\d.*|BL\d\d.*|.*LUNG.*|.*肺.*|L|Y[A-D]|FC[58]\d.*", re.IGNORECASE)
FRONTAL, LATERAL = ("AP", "PA"), ("LL", "RL")
SAME_THICKNESS_MM = 0.05


class Choice(Frozen):
    """One series of the study: chosen or not, and the rule that decided."""

    series_uid: str
    chosen: bool
    reason: str


def choose(
    study: Study,
    slice_thickness_mm: float | None = 5.0,
    require_slice_thickness: bool = False,
    min_slices: int = 4,
) -> tuple[Choice, ...]:
    """Decide on every series of a study; the chosen ones come first, in the order the model sees them.

    X-ray: one frontal view, then one lateral. CT: one non-contrast series, then one enhanced; a lung kernel
    and the wanted slice thickness are preferred; what a header leaves out is no reason to reject.
    """
    if study.modality is Modality.CT:
        return _choose_ct(study.series, slice_thickness_mm, require_slice_thickness, min_slices)
    return _choose_xray(study.series)


def is_lung_kernel(kernel: str | None) -> bool | None:
    """True or False for a kernel's name; None when there is none."""
    if not kernel:
        return None
    return any(_LUNG_KERNEL.fullmatch(k.strip()) for k in kernel.split("/"))


def _choose_xray(series: Sequence[Series]) -> tuple[Choice, ...]:
    ordered = sorted(series, key=lambda s: s.series_uid)
    frontal = [s for s in ordered if s.view_position in FRONTAL]
    lateral = [s for s in ordered if s.view_position in LATERAL]
    unknown = [s for s in ordered if s.view_position is None]
    chosen: list[Choice] = []
    left: list[Choice] = []
    first = frontal or unknown
    if first:
        reason = f"frontal_{first[0].view_position.lower()}" if first[0].view_position else "view_unknown"
        chosen.append(Choice(series_uid=first[0].series_uid, chosen=True, reason=reason))
    if lateral:
        reason = f"lateral_{str(lateral[0].view_position).lower()}"
        chosen.append(Choice(series_uid=lateral[0].series_uid, chosen=True, reason=reason))
    taken = {c.series_uid for c in chosen}
    for s in ordered:
        if s.series_uid not in taken:
            side = "lateral" if s.view_position in LATERAL else "frontal"
            left.append(Choice(series_uid=s.series_uid, chosen=False, reason=f"another_{side}_is_chosen"))
    return (*chosen, *left)


def _choose_ct(
    series: Sequence[Series], wanted: float | None, require: bool, min_slices: int
) -> tuple[Choice, ...]:
    chosen: list[Choice] = []
    left: list[Choice] = []
    fit: list[Series] = []
    for s in sorted(series, key=lambda s: s.series_uid):
        if s.volume.shape[0] < min_slices:
            left.append(Choice(series_uid=s.series_uid, chosen=False, reason="too_few_slices"))
        elif require and wanted is not None and _distance(s, wanted) not in (None, 0.0):
            left.append(Choice(series_uid=s.series_uid, chosen=False, reason="slice_thickness_not_wanted"))
        else:
            fit.append(s)
    for contrast in (False, True):
        group = [s for s in fit if s.contrast is contrast]
        if not group:
            continue
        best = min(group, key=lambda s: _rank(s, wanted))
        chosen.append(Choice(series_uid=best.series_uid, chosen=True, reason=_why(best, wanted)))
        for s in group:
            if s is not best:
                left.append(Choice(series_uid=s.series_uid, chosen=False, reason="another_fits_better"))
    return (*chosen, *left)


def _distance(s: Series, wanted: float) -> float | None:
    """How far the thickness is from the wanted one; 0 when it is the same, None when it is unknown."""
    if s.slice_thickness_mm is None:
        return None
    off = abs(s.slice_thickness_mm - wanted)
    return 0.0 if off <= SAME_THICKNESS_MM else off


def _rank(s: Series, wanted: float | None) -> tuple[int, float, int, str]:
    kernel = {True: 0, None: 1, False: 2}[is_lung_kernel(s.convolution_kernel)]
    off = 0.0 if wanted is None else _distance(s, wanted)
    # An unknown thickness stands behind any known one, within the same kernel.
    return kernel, 1e9 if off is None else off, -s.volume.shape[0], s.series_uid


def _why(s: Series, wanted: float | None) -> str:
    lung = is_lung_kernel(s.convolution_kernel)
    kernel = {True: "lung_kernel", None: "kernel_unknown", False: "no_lung_kernel_in_study"}[lung]
    off = None if wanted is None else _distance(s, wanted)
    if wanted is None:
        thickness = "any_thickness"
    elif off is None:
        thickness = "thickness_unknown"
    else:
        thickness = "wanted_thickness" if off == 0 else "nearest_thickness"
    return f"{'enhanced' if s.contrast else 'non_contrast'}: {kernel}, {thickness}"
