"""FHIR R4 bundles (a folder of .json and .ndjson), with or without a folder of DICOM files.

Patient + Encounter + ImagingStudy + DiagnosticReport + Composition (+ pacs/….dcm)  ->  one case a visit
"""

from pathlib import Path

from p2med.ingest.fhir_bundle import read_bundles
from p2med.ingest.fhir_records import Reader
from p2med.ingest.join import JoinOptions, joined
from p2med.ingest.scan import scan
from p2med.ingest.sources.hospital import bench_patients
from p2med.ingest.tally import Yield
from p2med.schema.terms import RecordKind
from p2med.store import resolve

SOURCE = "fhir"


class Options(JoinOptions):
    bundles: str
    """A file or a folder."""
    dicom_dir: str | None = None
    """Without one, reports are refused as `report_without_study`."""
    kinds: dict[str, RecordKind] = {}
    """A composition's type (text, display or code) or title -> what it is here."""
    bench_patients: str | None = None


def read(options: Options, root: Path) -> Yield:
    """One case an encounter; every resource passes or is refused by name."""
    bench = bench_patients(options.bench_patients, root)
    bundles = read_bundles(resolve(options.bundles, root), options.bundles)
    tables = Reader(bundles, options.kinds).read()
    found = scan(options.dicom_dir, root) if options.dicom_dir else []
    yield from joined(SOURCE, tables, found, bench, options)
