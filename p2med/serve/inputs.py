"""Bytes and files -> a conversation that a checkpoint can answer, through the transform of its training."""

from collections.abc import Mapping, Sequence

import numpy as np

from p2med import plugins
from p2med.errors import DataError, ModelError
from p2med.imaging.dicom import read_series
from p2med.imaging.header import Header
from p2med.imaging.picture import read_picture
from p2med.imaging.pixels import Pixels
from p2med.imaging.select import choose
from p2med.imaging.spec import ImageSpec
from p2med.imaging.transform import prepare
from p2med.schema.case import Series, Study, Volume
from p2med.schema.conversation import Conversation
from p2med.schema.terms import SECTION_BY_HEADING, Modality, Section
from p2med.tasks.base import Language, Question, Task

DICOM_MARK = b"DICM"
VIEWS = {"AP": "AP", "PA": "PA", "LL": "LL", "RL": "RL", "LAT": "LL", "LATERAL": "LL"}


class Memory:
    """Prepared images held in memory; a Volume's path `memory:<n>` names one."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def add(self, pixels: Pixels, spec: ImageSpec) -> Volume:
        array = prepare(pixels.array, pixels.unit, spec)
        path = f"memory:{len(self._arrays)}"
        self._arrays[path] = array
        depth, height, width = array.shape
        return Volume(path=path, shape=(depth, height, width), dtype=str(array.dtype), unit="unit_interval")

    def load(self, volume: Volume) -> np.ndarray:
        return self._arrays[volume.path]


def find_task(name: str) -> Task:
    """A task by its file name.

    Raises:
      RecipeError: there is none; the message lists those that exist.
    """
    return plugins.load("p2med.tasks", name).TASK


def is_dicom(content: bytes) -> bool:
    return content[128:132] == DICOM_MARK


def read_image(content: bytes) -> Pixels:
    """One DICOM instance, PNG or JPEG.

    Raises:
      DataError: it is none of them, or it cannot be read.
    """
    return read_series([content]) if is_dicom(content) else read_picture(content)


def chosen_series(groups: Sequence[tuple[str, Pixels]]) -> list[tuple[str, Pixels]]:
    """Of the series of one study those that training would have shown, in its order."""
    headers = [p.header for _, p in groups]
    if len(groups) < 2 or any(h is None for h in headers):
        return list(groups)
    study = Study(
        study_uid="0",
        modality=Modality(headers[0].modality),  # type: ignore[union-attr]
        series=tuple(
            _facts(str(n), p, h) for n, ((_, p), h) in enumerate(zip(groups, headers, strict=True)) if h
        ),
    )
    picked = [c for c in choose(study, min_slices=1) if c.chosen]
    return [groups[int(c.series_uid)] for c in picked] or list(groups[:1])


def _facts(uid: str, pixels: Pixels, header: Header) -> Series:
    depth, height, width = pixels.array.shape
    view = VIEWS.get((header.view_position or "").upper())
    return Series(
        series_uid=uid,
        view_position=view,  # type: ignore[arg-type]
        contrast=header.contrast,
        slice_thickness_mm=header.slice_thickness_mm,
        convolution_kernel=header.convolution_kernel,
        volume=Volume(path="", shape=(depth, height, width), dtype=str(pixels.array.dtype), unit=pixels.unit),
    )


def read_section_names(raw: Mapping[str, object]) -> dict[Section, str]:
    """Sections by English key, Chinese or English heading; other keys are left out."""
    found = {}
    for key, value in raw.items():
        section = SECTION_BY_HEADING.get(key) or SECTION_BY_HEADING.get(str(key).lower())
        if section is not None and isinstance(value, str):
            found[section] = value
    return found


def make_conversation(task: Task, question: Question, language: Language, name: str) -> Conversation:
    """The conversation whose answer is wanted.

    Raises:
      DataError: `input_incomplete`: the task needs a section, an image, a question or options.
    """
    try:
        turn = task.ask(question, language)
    except ValueError as error:
        raise DataError("input_incomplete", str(error)) from None
    return Conversation(
        conversation_id=name,
        task=task.name,
        language=language,
        case_id=name,
        patient_key=name,
        turns=(turn,),
        options=question.options if task.name == "classification" else (),
    )


def require_spec(spec: ImageSpec | None, name: str) -> ImageSpec:
    if spec is None:
        raise ModelError(f"{name} is a text model; it cannot look at images")
    return spec


def answer_object(
    name: str, task: Task, text: str, probabilities: Mapping[str, float] | None = None
) -> dict[str, object]:
    """What `p2med answer` writes and the server returns for one input."""
    sections = task.parse(text)
    found: dict[str, object] = {
        "id": name,
        "task": task.name,
        "text": text,
        "sections": {s.value: t for s, t in sections.items()},
        "sections_zh": {s.zh: t for s, t in sections.items()},
    }
    if probabilities is not None:
        found["probabilities"] = dict(probabilities)
    return found
