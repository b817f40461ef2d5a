"""FHIR R4 JSON -> resources, and the references between them.

bundle.json {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:…", "resource": {…}}, …]}
export.ndjson, one resource a line
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2med.errors import DataError, RecipeError
from p2med.ingest.emr import decode
from p2med.ingest.fhir_values import Resource
from p2med.store import Rejected

SUFFIXES = (".json", ".ndjson", ".jsonl")


class Bundles:
    """All resources of a folder of bundles, by type; `rejected` is what could not be taken in."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        """By `file:number`, in the order of the files."""
        self.rejected: list[Rejected] = []
        self.entered = 0
        self._by_reference: dict[str, Resource] = {}

    def refuse(self, where: str, reason: str, detail: str = "") -> None:
        self.rejected.append(Rejected(noun="fhir_resource", id=where, reason=reason, detail=detail))

    def add(self, where: str, resource: Any, full_url: str = "") -> None:
        """Take a resource in; a bundle's entries one by one."""
        if isinstance(resource, dict) and resource.get("resourceType") == "Bundle":
            entries = resource.get("entry") or []
            for n, entry in enumerate(entries if isinstance(entries, list) else [entries]):
                inner = entry if isinstance(entry, dict) else {}
                self.add(f"{where}:{n}", inner.get("resource"), str(inner.get("fullUrl") or ""))
            return
        self.entered += 1
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            self.refuse(where, "bad_resource", "an entry without a resource type")
            return
        names = [full_url] if full_url else []
        if resource.get("id"):
            names.append(f"{resource['resourceType']}/{resource['id']}")
        known = next((self._by_reference[n] for n in names if n in self._by_reference), None)
        if known is not None:
            self.refuse(where, "duplicate_resource" if known == resource else "two_versions_of_resource")
            return
        self._by_reference.update(dict.fromkeys(names, resource))
        self.resources[where] = resource

    def of_type(self, kind: str) -> Iterator[tuple[str, Resource]]:
        for where, resource in self.resources.items():
            if resource["resourceType"] == kind:
                yield where, resource

    def follow(self, reference: Any, owner: Resource | None = None) -> Resource | None:
        """The resource that a reference names, None when it is not here.

        `http://server/fhir/Patient/1/_history/2` and `Patient/1` are one; `#p` is contained in the owner.
        """
        text = str(reference.get("reference") or "") if isinstance(reference, dict) else ""
        if text.startswith("#"):
            inside = (owner or {}).get("contained") or []
            return next((r for r in inside if isinstance(r, dict) and r.get("id") == text[1:]), None)
        text = text.partition("/_history/")[0]
        return self._by_reference.get(text) or self._by_reference.get("/".join(text.split("/")[-2:]))


def read_bundles(path: Path, where: str) -> Bundles:
    """Read a file, or every .json, .ndjson and .jsonl of a folder.

    Raises:
      RecipeError: there is no such file or folder.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
    elif path.is_file():
        files = [path]
    else:
        raise RecipeError(f"there is no FHIR file or folder {path} (in the recipe: {where})")
    bundles = Bundles()
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        if file.suffix.lower() not in SUFFIXES:
            bundles.entered += 1
            bundles.refuse(name, "not_fhir_json")
            continue
        _read_file(file, name, bundles)
    return bundles


def _read_file(file: Path, name: str, bundles: Bundles) -> None:
    try:
        text = decode(file.read_bytes(), file)[0]
    except DataError:
        text = ""
    lines = [text] if file.suffix.lower() == ".json" else [line for line in text.split("\n") if line.strip()]
    for number, line in enumerate(lines, 1):
        where = name if len(lines) == 1 else f"{name}:{number}"
        try:
            bundles.add(where, json.loads(line))
        except (ValueError, RecursionError):
            bundles.entered += 1
            bundles.refuse(where, "bad_json")
