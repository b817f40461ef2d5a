"""FHIR R4 resources -> the rows and persons that a hospital's tables would give.

Patient, RelatedPerson, Practitioner   who must not be named anywhere
Encounter                              the visit        ImagingStudy   which study belongs to which visit
DiagnosticReport                       radiology report Composition    outpatient and inpatient records
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from p2med.errors import DataError
from p2med.imaging.identity import canonical_id
from p2med.ingest.dates import read_date
from p2med.ingest.fhir_bundle import Bundles
from p2med.ingest.fhir_sections import composition_sections, report_sections
from p2med.ingest.fhir_values import Resource, identities, items, text_at, words_of
from p2med.ingest.link import TextRow
from p2med.ingest.records import Person, Tables
from p2med.schema.case import Sex
from p2med.schema.terms import RecordKind, Section

KINDS: tuple[tuple[str, RecordKind], ...] = (
    (r"首次病程|FIRST[ _]COURSE", RecordKind.FIRST_COURSE_RECORD),
    (r"主任医师.*查房|CHIEF", RecordKind.CHIEF_ROUND_RECORD),
    (r"主治医师.*查房|ATTENDING", RecordKind.ATTENDING_ROUND_RECORD),
    (r"门诊病历|门诊记录|门诊病程|OUTPATIENT|34108-1", RecordKind.OUTPATIENT_RECORD),
)
"""Words and codes (LOINC) of a composition's type or title."""
IMAGING = re.compile(
    r"^(RAD|RX|CT|XRC|CR|DX|LP29684-5|18726-0)$|RADIOL|IMAGING|放射|影像|X线|CT", re.IGNORECASE
)
FINAL = {"final", "amended", "corrected", "appended"}
SEXES: dict[str, Sex] = {"male": "M", "female": "F", "other": "O"}
STUDY_UID = "urn:dicom:uid"
USED = (
    "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "Encounter",
    "ImagingStudy", "DiagnosticReport", "Composition", "Observation",
)  # fmt: skip
"""Observation: only as the results of a radiology report."""


class Reader:
    """Fills `tables` with what the bundles tell."""

    def __init__(self, bundles: Bundles, kinds: Mapping[str, RecordKind]):
        self.bundles, self.kinds = bundles, kinds
        self.tables = Tables(noun="fhir_resource", entered=bundles.entered, rejected=list(bundles.rejected))
        self._patients: dict[int, str] = {}
        self._study_of: dict[int, str] = {}

    def read(self) -> Tables:
        """Every resource once: understood, a row, or refused by name."""
        steps: tuple[tuple[str, Callable[[str, Resource], None]], ...] = (
            ("Patient", self._patient),
            ("RelatedPerson", self._related),
            ("Encounter", self._encounter),
            ("ImagingStudy", self._study),
            ("DiagnosticReport", self._report),
            ("Composition", self._composition),
        )
        for kind, step in steps:
            for where, resource in self.bundles.of_type(kind):
                try:
                    step(where, resource)
                except DataError as error:
                    self.tables.refuse(where, error.reason, error.detail)
                except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
                    # JSON of another shape than FHIR's; its values are not for a message.
                    self.tables.refuse(where, "bad_resource", f"{kind}: {type(error).__name__}")
        own = {kind for kind, _ in steps}
        for where, resource in self.bundles.resources.items():
            if resource["resourceType"] not in USED:
                self.tables.refuse(where, "resource_not_used", resource["resourceType"][:40])
            elif resource["resourceType"] not in own:
                self.tables.patients_passed += 1
        return self.tables

    # ---------------------------------------------------------------- persons

    def _patient(self, where: str, resource: Resource) -> None:
        numbers: dict[str, bool] = {}
        for identifier in items(resource.get("identifier")):
            if number := canonical_id(text_at(identifier, "value")):
                numbers[number] = "MR" in words_of(identifier.get("type"))
        # The medical record number, any other number, the resource's own.
        patient_id = next((n for n, is_record in numbers.items() if is_record), next(iter(numbers), ""))
        patient_id = patient_id or canonical_id(str(resource.get("id") or ""))
        if not patient_id:
            raise DataError("patient_id_missing")
        if patient_id in self.tables.people or any(n in self.tables.alias for n in numbers):
            raise DataError("duplicate_patient")
        person = Person(registered=True, sex=SEXES.get(text_at(resource, "gender")))
        person.birth_date = _date(text_at(resource, "birthDate"))
        for known in (resource, *items(resource.get("contact"))):
            for kind, value in identities(known):
                person.values.setdefault(kind, {}).setdefault(value)
        # Only now, for a patient whose names could not be read must not be known at all.
        self.tables.people[patient_id] = person
        self.tables.alias |= dict.fromkeys(numbers, patient_id)
        self._patients[id(resource)] = patient_id
        self.tables.patients_passed += 1

    def _related(self, where: str, resource: Resource) -> None:
        self._learn(self._owner(resource.get("patient"), resource), resource)
        self.tables.patients_passed += 1

    def _learn(self, patient_id: str, resource: Resource) -> None:
        """Remember names, numbers, phones and addresses as deid's known values."""
        values = self.tables.people[patient_id].values
        for kind, value in identities(resource):
            values.setdefault(kind, {}).setdefault(value)

    def _learn_all(self, patient_id: str, *references: Any, owner: Resource) -> None:
        """The persons and places that a resource names, here or by reference."""
        for reference in (r for many in references for r in items(many)):
            if text_at(reference, "display"):
                values = self.tables.people[patient_id].values
                values.setdefault("names", {}).setdefault(text_at(reference, "display"))
            target = self.bundles.follow(reference, owner)
            if target is not None and target["resourceType"] != "Patient":
                self._learn(patient_id, target)
                inner = [target.get("practitioner"), target.get("organization")]
                if any(inner):
                    self._learn_all(patient_id, *inner, owner=target)

    def _owner(self, reference: Any, owner: Resource) -> str:
        """The number of the patient that a resource is about."""
        patient = self.bundles.follow(reference, owner)
        if patient is None or id(patient) not in self._patients:
            raise DataError("patient_unknown", "the bundles do not hold this resource's patient")
        return self._patients[id(patient)]

    # ---------------------------------------------------------------- visits and images

    def _encounter(self, where: str, resource: Resource) -> None:
        patient_id = self._owner(resource.get("subject"), resource)
        self._learn(patient_id, {"identifier": resource.get("identifier")})
        people = [p.get("individual") or p.get("actor") for p in items(resource.get("participant"))]
        self._learn_all(patient_id, people, resource.get("serviceProvider"), owner=resource)
        self.tables.patients_passed += 1

    def _visit(self, resource: Resource, patient_id: str) -> str:
        """The number of the encounter that a resource names, "" when it names none."""
        if not resource.get("encounter"):
            return ""
        encounter = self.bundles.follow(items(resource["encounter"])[0], resource)
        if encounter is None:
            raise DataError("reference_missing", "the bundles do not hold this resource's encounter")
        if self._owner(encounter.get("subject"), encounter) != patient_id:
            raise DataError("encounter_of_another_patient")
        return canonical_id(text_at(encounter, "identifier", "value") or str(encounter["id"]))

    def _study(self, where: str, resource: Resource) -> None:
        patient_id = self._owner(resource.get("subject"), resource)
        uid = next(
            (
                text_at(i, "value").removeprefix("urn:oid:")
                for i in items(resource.get("identifier"))
                if text_at(i, "system") == STUDY_UID
            ),
            "",
        )
        if not uid:
            raise DataError("study_uid_missing")
        self._study_of[id(resource)] = uid
        visit = self._visit(resource, patient_id)
        if visit:
            self.tables.visit_of_study[uid] = patient_id, visit
        self._learn(patient_id, {"identifier": resource.get("identifier")})
        self.tables.patients_passed += 1

    # ---------------------------------------------------------------- records

    def _report(self, where: str, resource: Resource) -> None:
        category = words_of(resource.get("category"))
        if category and not any(IMAGING.search(w) for w in category):
            raise DataError("not_a_radiology_report")
        studies = [self.bundles.follow(r, resource) for r in items(resource.get("imagingStudy"))]
        if None in studies:
            raise DataError("reference_missing", "the bundles do not hold this report's imaging study")
        if len(studies) > 1:
            raise DataError("ambiguous_study", "one report of several studies")
        uid = self._study_of.get(id(studies[0]), "") if studies else ""
        if studies and not uid:
            raise DataError("reference_missing", "this report's imaging study was refused")
        sections = report_sections(resource, self.bundles)
        when = text_at(resource, "effectiveDateTime") or text_at(resource, "effectivePeriod", "start")
        people = resource.get("performer"), resource.get("resultsInterpreter")
        numbers = [i for i in items(resource.get("identifier")) if "ACSN" in words_of(i.get("type"))]
        self._row(
            where,
            resource,
            RecordKind.RADIOLOGY_REPORT,
            sections,
            when or text_at(resource, "issued"),
            people,
            accession_number=canonical_id(text_at(numbers, "value")),
            examination=" ".join(words_of(resource.get("code"))),
            study_uid=uid,
        )

    def _composition(self, where: str, resource: Resource) -> None:
        words = [*words_of(resource.get("type")), text_at(resource, "title")]
        kind = next((self.kinds[w] for w in words if w in self.kinds), None)
        kind = kind or next((k for p, k in KINDS if any(re.search(p, w, re.IGNORECASE) for w in words)), None)
        if kind is None:
            raise DataError("kind_unknown", "name its type or title under `kinds` in the recipe")
        sections = composition_sections(resource, kind)
        people = resource.get("author"), [a.get("party") for a in items(resource.get("attester"))]
        self._row(where, resource, kind, sections, text_at(resource, "date"), people)

    def _row(
        self,
        where: str,
        resource: Resource,
        kind: RecordKind,
        sections: dict[Section, str],
        when: str,
        people: tuple[Any, ...],
        **more: str,
    ) -> None:
        if text_at(resource, "status") not in FINAL:
            raise DataError("not_final", "only final, amended, corrected and appended texts are read")
        patient_id = self._owner(resource.get("subject"), resource)
        visit = self._visit(resource, patient_id)
        self._learn(patient_id, {"identifier": resource.get("identifier")})
        self._learn_all(patient_id, *people, owner=resource)
        if not sections:
            raise DataError("empty_record")
        self.tables.rows.append(TextRow(where, kind, patient_id, visit, read_date(when), sections, **more))
        self.tables.where[where] = where


def _date(text: str) -> date | None:
    try:
        return read_date(text)
    except DataError:
        return None
