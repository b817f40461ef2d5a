"""Certify a finished run: plant, run ingest and deid on the copy, search, count, write.

RUN/1_ingest ─► sample ─► planted copy ─► ingest, deid ─► measure ─┐
RUN/2_deid … ─► the real patients' values, k-anonymity ────────────┴► RUN/certificate/ .json .pdf review.html

The certificate depends on the run, the number of canaries and the seed alone.
"""

import shutil
from pathlib import Path

from p2med.certify.certificate import (
    FOLDER,
    NOT_TESTED,
    Certificate,
    Damage,
    Dates,
    Searched,
    class_rows,
    key_id,
    versions,
)
from p2med.certify.copies import Copy, write_copy
from p2med.certify.folder import measure_folder
from p2med.certify.linkage import linkage
from p2med.certify.measure import Measured, measure
from p2med.certify.pdf import write_pdf
from p2med.certify.plan import Plan, make_plan, patient_of, sample
from p2med.certify.residual import scan_run
from p2med.certify.review import write_review
from p2med.deid import run as deid
from p2med.deid.config import DeidConfig
from p2med.deid.pseudonym import PUBLIC_KEY, Pseudonyms, read_key
from p2med.errors import P2MedError, PhiError
from p2med.files import code_digest, resolve, sha256_of, write_json
from p2med.ingest import run as ingest
from p2med.progress import say
from p2med.schema.case import Case
from p2med.store import Manifest, read_items, read_manifest, require, verb_folder

CODE = ("certify",)


def certify(root: Path, out: Path, patients: int = 100, per_class: int = 300, seed: int = 1) -> Certificate:
    """Write `certificate.json`, `certificate.pdf` and `review.html` to `out`.

    Args:
      root: a run folder whose deid has finished.
      out: where to write; the copy stands below it while it is needed and is deleted afterwards.
      patients: how many real patients the copy takes its texts and images from.
      per_class: planted sentences of each kind.

    Raises:
      P2MedError: deid has not finished, or another version of it made the run.
    """
    manifest = _manifest(root)
    config = DeidConfig.model_validate(manifest.section)
    key_file = resolve(config.key_file, root).resolve() if config.key_file else None
    key = read_key(key_file) if key_file else PUBLIC_KEY
    cases = sample(verb_folder(root, "ingest"), patients, seed)
    if not cases:
        raise P2MedError(f"{root} has no case to make a copy of")
    plan = make_plan(cases, per_class, seed)
    work = out / "copy"
    shutil.rmtree(work, ignore_errors=True)
    try:
        copy = write_copy(plan, root, work)
        blocked = _run_copy(
            copy, config.model_copy(update={"key_file": str(key_file) if key_file else None}), work
        )
        measured = measure(plan, copy, work, Pseudonyms(key))
        by_folder = measure_folder(plan, copy, work, key, config)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    certificate = _certificate(root, manifest, key, seed, plan, copy, (measured, by_folder), blocked)
    path = out / "certificate.json"
    write_json(path, certificate.model_dump(mode="json"))
    write_pdf(certificate, sha256_of(path), out / "certificate.pdf")
    queue = write_review(root, Pseudonyms(key), out / "review.html")
    say(f"certify: {queue} items wait for review in {out / 'review.html'}")
    return certificate


def _manifest(root: Path) -> Manifest:
    manifest = read_manifest(require(root, "deid"))
    assert manifest is not None  # require has read it
    if manifest.code != code_digest(*deid.CODE):
        raise P2MedError(
            f"{verb_folder(root, 'deid')} was made by another version of deid; run deid again first"
        )
    return manifest


def _run_copy(copy: Copy, config: DeidConfig, work: Path) -> str | None:
    """Ingest and deid the copy; the reason when deid's last search stops it."""
    ingest.run(copy.section, work)
    try:
        deid.run(config, work)
    except PhiError as error:
        return error.reason
    return None


def _certificate(
    root: Path,
    manifest: Manifest,
    key: bytes,
    seed: int,
    plan: Plan,
    copy: Copy,
    ways_out: tuple[Measured, Measured],
    blocked: str | None,
) -> Certificate:
    measured, by_folder = ways_out
    classes = class_rows(plan, measured.outcome) + class_rows(plan, by_folder.outcome, FOLDER)
    labelled = verb_folder(root, "curate")
    labelled = labelled if read_manifest(labelled) else verb_folder(root, "deid")
    return Certificate(
        run=root.resolve().name,
        key_id=key_id(key),
        seed=seed,
        patients=len({patient_of(c) for c in plan.cases}),
        records=sum(len(c.records) for c in plan.cases),
        dicom_files=len(copy.files),
        blocked=blocked,
        classes=classes,
        planted=len(plan.canaries),
        leaked=sum(r.leaked for r in classes),
        leaks=dict(sorted((measured.leaks + by_folder.leaks).items())),
        damage=Damage(
            clinical_terms=measured.terms,
            clinical_terms_kept=measured.terms_kept,
            frame_characters=measured.characters,
            frame_characters_lost=measured.characters_lost,
        ),
        dates=Dates(
            planted=measured.dates,
            moved_by_the_record_s_offset=measured.dates_moved_rightly,
            patients=measured.patients_with_offset,
            patients_with_two_offsets=measured.patients_with_two_offsets,
        ),
        searched=Searched(
            files=sum(m.found.searched_files for m in ways_out),
            bytes=sum(m.found.searched_bytes for m in ways_out),
            texts=sum(m.found.searched_texts for m in ways_out),
        ),
        not_copied=copy.not_copied,
        residual=scan_run(root),
        linkage=linkage(read_items(labelled, Case)),
        not_tested=tuple({"en": en, "zh": zh} for en, zh in NOT_TESTED),
        deid_section={k: v for k, v in manifest.section.items() if k != "key_file"},
        versions=versions(),
        code={"deid": manifest.code, "certify": code_digest(*CODE)},
        manifests={v: sha256_of(verb_folder(root, v) / "manifest.json") for v in ("ingest", "deid")},
    )
