"""The other way out: `p2med deid folder` on the planted files, its output searched in the same way."""

from pathlib import Path

from pydicom import dcmread

from p2med.certify.copies import Copy
from p2med.certify.films import readable
from p2med.certify.measure import Measured, values_searched
from p2med.certify.plan import Plan
from p2med.certify.search import search
from p2med.deid.config import DeidConfig
from p2med.deid.folder import clean_folder, input_paths
from p2med.deid.folder_file import Settings


def measure_folder(plan: Plan, copy: Copy, root: Path, key: bytes, config: DeidConfig) -> Measured:
    """Outcomes of the canaries in headers and pixels; the other canaries have none."""
    source, out = root / "planted" / "pacs", root / "folder"
    done = Measured()
    if not copy.files:
        return done
    # Masking is the command's own way; what it cannot mask it rejects or quarantines.
    rows = clean_folder(source, out, key, Settings("mask", config.max_date_shift_days), config.workers)
    output = {path: row.output for path, row in zip(input_paths(source), rows, strict=True)}
    for file in copy.files:
        passed = output[file.name]
        for canary in file.canaries:
            done.outcome[canary] = "removed" if passed else "withheld"
        if file.text is None or file.strokes is None:
            continue
        done.outcome[file.text] = "withheld"
        if passed:
            pixels = dcmread(out / passed).pixel_array
            leaked = readable(pixels.reshape(-1, *pixels.shape[-2:]), file.strokes)
            done.outcome[file.text] = "leaked" if leaked else "removed"
            done.leaks["deid folder, pixels: text drawn into the image"] += leaked
    done.found = search(out, {n: plan.canaries[n].value for n in values_searched(plan) if n in done.outcome})
    for number in sorted(done.found.files):
        done.outcome[number] = "leaked"
        done.leaks[f"deid folder, header: {plan.canaries[number].kind}"] += 1
    done.leaks = +done.leaks
    return done
