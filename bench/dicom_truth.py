"""Image studies of known truth, stored in every odd way; results in dicom_truth.md.

python bench/dicom_truth.py --seeds 5
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "imaging"))
from truth_maker import judge, studies

from p2med.errors import DataError
from p2med.imaging.dicom import read_series


def ours(files: list[bytes]) -> np.ndarray:
    return read_series(files).array


def plain(files: list[bytes]) -> np.ndarray:
    """What a script around pydicom does: sort by number, slope and intercept, invert MONOCHROME1."""
    try:
        datasets = sorted(
            (dcmread(BytesIO(f), force=True) for f in files), key=lambda d: d.get("InstanceNumber", 0)
        )
        arrays = []
        for ds in datasets:
            array = ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
            if ds.Modality != "CT" and ds.PhotometricInterpretation == "MONOCHROME1":
                array = array.max() - array
            arrays.append(array)
        return arrays[0] if arrays[0].ndim == 3 else np.stack(arrays)
    except Exception as error:
        raise DataError("exception", type(error).__name__) from None


def main(seeds: int) -> None:
    warnings.simplefilter("ignore")
    found: dict[str, Counter[str]] = {"p2med": Counter(), "a plain script": Counter()}
    wanted: Counter[str] = Counter()
    seconds = 0.0
    for seed in range(seeds):
        for made in studies(seed):
            wanted["to be read" if made.truth is not None else "to be refused"] += 1
            began = time.process_time()
            verdict = judge(made, ours)
            seconds += time.process_time() - began
            if verdict != "right":
                print(f"seed {seed}: {made.name}: {verdict}")
            found["p2med"][verdict] += 1
            found["a plain script"][judge(made, plain)] += 1
    print(f"{wanted.total()} studies: {dict(wanted)}; read in {seconds:.1f} s of work")
    for reader, verdicts in found.items():
        print(f"{reader:16}", ", ".join(f"{k} {n}" for k, n in sorted(verdicts.items())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    main(parser.parse_args().seeds)
