"""`p2med answer`: ask a checkpoint about files, one JSON line for each input.

{"id": "a/1.jpeg", "task": "classification", "text": "正常", "probabilities": {"正常": 0.98, "肺炎": 0.02}}
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2med.consensus import Panel
from p2med.errors import DataError, ModelError, P2MedError
from p2med.imaging.dicom import read_series
from p2med.imaging.header import parse
from p2med.imaging.pixels import Pixels
from p2med.model.generate import Generator
from p2med.progress import say, track
from p2med.schema.conversation import Conversation
from p2med.serve.inputs import (
    Memory,
    answer_object,
    chosen_series,
    find_task,
    is_dicom,
    make_conversation,
    read_image,
    read_section_names,
    require_spec,
)
from p2med.store import write_text
from p2med.tasks.base import Language, Question, Task

PICTURES = {".png", ".jpg", ".jpeg"}
LANGUAGES = ("zh", "en")
UTF8_MARK = b"\xef\xbb\xbf"
QUESTION_KEYS = ("question", "问题")
OPTION_KEYS = ("options", "labels")


@dataclass
class Asked:
    """One input before it is read: picture file, DICOM study (files by series), or a row of a JSONL."""

    name: str
    file: str
    picture: Path | None = None
    series: dict[str, list[Path]] = field(default_factory=dict)
    row: dict[str, Any] | None = None
    fault: DataError | None = None
    folder: Path = Path()


def answer(
    checkpoint: Path,
    task: str,
    source: Path,
    out: Path,
    labels: Sequence[str] = (),
    language: str = "zh",
    max_new_tokens: int = 256,
    batch_size: int = 16,
    device: str = "auto",
    question: str | None = None,
    readings: int = 1,
    members: Sequence[Path] = (),
) -> dict[str, int]:
    """Answer every input of `source` into `out`; what cannot be read goes to `<out>.rejected.jsonl`.

    Returns:
      {"in": …, "answered": …, "rejected": …}, in = answered + rejected.

    Raises:
      P2MedError: a wrong argument, a checkpoint that does not fit, or no input that could be answered.
    """
    asked_task = find_task(task)
    if language not in LANGUAGES:
        raise P2MedError(f"--language {language}: write zh or en")
    if task == "classification" and len(set(labels)) < 2 and source.suffix != ".jsonl":
        raise P2MedError("classification needs at least two options: --labels 正常,肺炎")
    if not source.exists():
        raise P2MedError(f"--in {source}: there is no such file or folder")
    if out.is_dir():
        raise P2MedError(f"--out {out}: is a folder; name a file in it, e.g. {out / 'answers.jsonl'}")
    if not out.resolve().parent.is_dir():
        raise P2MedError(f"--out {out}: the folder does not exist; make it first")
    inputs = list(_inputs(source))
    if not inputs:
        raise P2MedError(f"--in {source}: holds no DICOM, PNG, JPEG or JSONL file")
    panel = Panel.load([checkpoint, *members], readings, device)
    generator = panel.first
    defaults = Question(question=question, options=tuple(labels))
    lines: list[str] = []
    rejected: list[str] = []
    batches = [inputs[i : i + batch_size] for i in range(0, len(inputs), batch_size)]
    for batch in track(batches, "answer"):
        memory = Memory()
        ready: list[tuple[Asked, Conversation]] = []
        for one in batch:
            try:
                conversation = _conversation(one, asked_task, defaults, language, generator, memory)  # type: ignore[arg-type]
                if generator.count_tokens(conversation) >= generator.max_tokens:
                    raise DataError("too_long", f"the model takes {generator.max_tokens - 1} tokens")
                ready.append((one, conversation))
            except DataError as error:
                rejected.append(
                    _line(
                        {
                            "id": one.name,
                            "file": one.file,
                            "task": task,
                            "reason": error.reason,
                            "detail": error.detail,
                        }
                    )
                )
        lines += _answer_batch(panel, asked_task, ready, memory, max_new_tokens)
    write_text(out, "".join(lines))
    aside = out.with_name(out.name + ".rejected.jsonl")
    if rejected:
        write_text(aside, "".join(rejected))
    else:
        aside.unlink(missing_ok=True)
    counts = {"in": len(inputs), "answered": len(lines), "rejected": len(rejected)}
    say(f"answer: {counts['in']} in, {counts['answered']} answered -> {out}, {counts['rejected']} rejected")
    if not lines:
        raise P2MedError(f"no input could be answered; the reasons are in {aside}")
    return counts


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _answer_batch(
    panel: Panel,
    task: Task,
    ready: Sequence[tuple[Asked, Conversation]],
    memory: Memory,
    max_new_tokens: int,
) -> Iterator[str]:
    if not ready:
        return
    conversations = [c for _, c in ready]
    if task.name == "classification":
        for (one, _), chances in zip(ready, panel.probabilities(conversations, memory.load), strict=True):
            best = max(chances, key=lambda o: chances[o])
            yield _line({**answer_object(one.name, task, best, chances), "file": one.file})
        return
    texts = panel.answer(task, conversations, memory.load, max_new_tokens)
    for (one, _), text in zip(ready, texts, strict=True):
        yield _line({**answer_object(one.name, task, text), "file": one.file})


# ---------------------------------------------------------------- finding the inputs


def _inputs(source: Path) -> Iterator[Asked]:
    """Every input under `source`, sorted by name; the DICOM files of one study are one input."""
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    base = source.parent if source.is_file() else source
    studies: dict[str, Asked] = {}
    found: list[Asked] = []
    for path in files:
        name = path.relative_to(base).as_posix()
        if path.suffix.lower() == ".jsonl":
            found += _rows(path, name)
        elif path.suffix.lower() in PICTURES:
            found.append(Asked(name, name, picture=path))
        elif _seems_dicom(path):
            _add_dicom(path, name, studies, found)
        elif path == source:
            found.append(Asked(name, name, fault=DataError("format_unknown", "no DICOM, PNG, JPEG or JSONL")))
    _name_studies(studies, base)
    yield from sorted(
        [*found, *studies.values()], key=lambda a: (a.file, a.name) if a.row is None else (a.file, "")
    )


def _seems_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return is_dicom(file.read(132)) or path.suffix.lower() in (".dcm", ".dicom")


def _add_dicom(path: Path, name: str, studies: dict[str, Asked], found: list[Asked]) -> None:
    try:
        header = parse(path, pixels=False)
    except DataError as error:
        found.append(Asked(name, name, fault=error))
        return
    study = str(header.get("StudyInstanceUID") or name)
    series = str(header.get("SeriesInstanceUID") or name)
    one = studies.setdefault(study, Asked(name, name))
    one.series.setdefault(series, []).append(path)


def _name_studies(studies: dict[str, Asked], base: Path) -> None:
    """A study that has a folder to itself is called by it; else by its first file."""
    folders: dict[Path, set[str]] = {}
    for uid, one in studies.items():
        for paths in one.series.values():
            for path in paths:
                folders.setdefault(path.parent, set()).add(uid)
    for one in studies.values():
        own = {p.parent for paths in one.series.values() for p in paths}
        count = sum(map(len, one.series.values()))
        if count > 1 and len(own) == 1 and len(folders[next(iter(own))]) == 1 and next(iter(own)) != base:
            one.name = next(iter(own)).relative_to(base).as_posix()


def _rows(path: Path, name: str) -> Iterator[Asked]:
    # Split at line feeds alone: a text may hold U+2028 or U+0085, which splitlines would cut at.
    for number, line in enumerate(path.read_bytes().removeprefix(UTF8_MARK).split(b"\n"), 1):
        if not line.strip():
            continue
        one = Asked(str(number), name, folder=path.parent)
        try:
            row = json.loads(line.decode("utf-8"))
            if not isinstance(row, dict):
                raise ValueError
            json.dumps(row, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no text
            one.row = row
            key = next((k for k in ("id", "sample_id", "record_id") if row.get(k) is not None), None)
            one.name = str(row[key]) if key else one.name
        except (ValueError, RecursionError):
            one.row = None
            one.fault = DataError("not_json", f"line {number} is not a JSON object in UTF-8")
        yield one


# ---------------------------------------------------------------- reading one input


def _conversation(
    one: Asked, task: Task, defaults: Question, language: Language, generator: Generator, memory: Memory
) -> Conversation:
    if one.fault:
        raise one.fault
    row = one.row or {}
    pixels = _pixels(one, row)
    if pixels and generator.image_spec is None:
        raise DataError("image_for_text_model", "this checkpoint cannot look at images")
    volumes = tuple(memory.add(p, require_spec(generator.image_spec, generator.name)) for p in pixels)
    nested = row.get("sections")
    sections = read_section_names({**row, **(nested if isinstance(nested, dict) else {})})
    options = next(
        (tuple(map(str, row[k])) for k in OPTION_KEYS if isinstance(row.get(k), list)), defaults.options
    )
    asked = next((str(row[k]) for k in QUESTION_KEYS if row.get(k)), defaults.question)
    question = Question(sections=sections, volumes=volumes, question=asked, options=options)
    try:
        return make_conversation(task, question, language, one.name)
    except ModelError as error:
        raise DataError("does_not_fit", str(error)) from None


def _pixels(one: Asked, row: dict[str, Any]) -> list[Pixels]:
    if one.picture:
        return [read_image(_read(one.picture))]
    if one.series:
        read: list[tuple[str, Pixels]] = []
        fault: DataError | None = None
        for uid, paths in sorted(one.series.items()):
            try:
                read.append((uid, read_series(paths)))
            except DataError as error:  # a scout or report beside the images does not spoil the study
                fault = error
        if not read and fault:
            raise fault
        return [p for _, p in chosen_series(read)]
    named = row.get("images") or row.get("image") or []
    named = named if isinstance(named, list) else [named]
    return [read_image(_read(one.folder / str(n))) for n in named]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError("file_unreadable", f"{path.name}: {error.strerror}") from None
