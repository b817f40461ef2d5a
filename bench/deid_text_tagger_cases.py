"""Training examples of the tagger: texts with a kind for each character, made over and over anew.

Notes of bench/deid_text_notes (by writer), filled templates, sentences of Apache-2.0 questions with names put
in and without, MIT resumes, clinical phrases. Notes come with other values, digits, roles and punctuation.
"""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deid_text import read_templates
from deid_text_cases import HERE, Case, fill
from deid_text_language import CORPORA, _strings
from deid_text_names import CLAUSES, DEPARTMENTS, PERSON, RELATIVES, VERBS, Drawn
from deid_text_notes import BLIND, MARK, NOTES
from deid_text_tagger_values import Values, shaped

from p2med.deid.known import Known
from p2med.deid.name_score import is_chinese
from p2med.deid.surnames import SURNAMES
from p2med.deid.tagger_network import KINDS
from p2med.deid.text import scrub
from p2med.errors import PhiError

Example = tuple[str, list[int]]
KIND_OF = {k: "name" for k in "child kin staff other surname given nick latin initials".split()}
KIND_OF |= {
    "place": "address",
    "address": "address",
    "hospital": "hospital",
    "school": "school",
    "class": "school",
}
KIND_OF |= {"company": "company", "bed": "bed", "date": "date"}
OF_SLOT = {k: "name" for k in ("known name", "other name", "foreign name", "pet name")}
OF_SLOT |= {"home": "address", "village": "address", "group": "address"}
TEMPLATES = ("", "_2", "_3", "_4", "_5", "_5_2", "_5_3", "_6")
PLAIN = 0.12
"""So often a note with nobody in it; left to chance they would be a third."""
UNKNOWN = -100
"""The kind of a character that no one is to learn from."""
RESUME = {"NAME": "name", "ORG": "company", "LOC": "address"}
Piece = tuple[str, str]


def number_of(kind: str) -> int:
    if kind == "old":
        return UNKNOWN
    return KINDS.index(OF_SLOT.get(kind) or KIND_OF.get(kind, "number"))


class Maker:
    """Draws examples with `r`; the same seed, sources and code give the same ones."""

    r = random.Random(0)

    def __init__(self, without: list[str], dictionary: Path, data: Path) -> None:
        self.values = Values(dictionary)
        left_out = {*BLIND, *without}
        paths = [p for p in sorted(NOTES.glob("*.txt")) if p.stem not in left_out]
        notes = [_pieces(t) for t in read_templates(paths)]
        self.notes = [note for note in notes if any(kind for kind, _ in note)]
        self.plain_notes = [note for note in notes if not any(kind for kind, _ in note)]
        self.pool: dict[str, list[str]] = {}
        for note in self.notes:
            for kind, value in note:
                self.pool.setdefault(kind, []).append(value)
        self.templates = read_templates([HERE / f"deid_text_templates{n}.txt" for n in TEMPLATES])
        self.lists = Drawn(HERE / "deid_text_values_2.csv")
        self.plain = (HERE / "deid_text_plain.txt").read_text(encoding="utf-8").splitlines()[1:]
        self.questions = _questions(data)
        self.words = frozenset(_words(dictionary, data))
        self.resumes = _resumes(data)

    def example(self, most: int = 176) -> Example:
        """Some clauses of one to three sources beside each other, cut to `most` characters."""
        r = self.r
        text, kinds = "", []
        for _ in range(r.choice([1, 1, 2, 3])):
            roll = r.random()
            if roll < 0.65:
                part = self.note()
            elif roll < 0.70:
                part = self.template()
            elif roll < 0.74:
                part = self.named_question()
            elif roll < 0.79:
                part = self.clauses()
            elif roll < 0.97:
                part = self.negative()
            else:
                part = r.choice(self.resumes)
            part = cut(r, part, r.randrange(40, most))
            gap = r.choice(["\n", "\n", " ", "", "。"])
            text, kinds = text + part[0] + gap, kinds + part[1] + [0] * len(gap)
        at = r.randrange(max(1, len(text) - most + 1))
        return text[at : at + most], kinds[at : at + most]

    def note(self) -> Example:
        r = self.r
        pieces = self.varied(r.choice(self.plain_notes if r.random() < PLAIN else self.notes))
        return self.scratched(pieces)

    def varied(self, note: list[Piece]) -> list[Piece]:
        """The note with other values, digits and roles."""
        r, again, found = self.r, {}, []
        other_digits, other_roles, keep = r.random() < 0.5, r.random() < 0.35, r.random() < 0.1
        for n, (kind, value) in enumerate(note):
            if kind:
                if (kind, value) not in again:
                    again[kind, value] = value if keep else self.other(kind, value)
                found.append((kind, again[kind, value]))
                continue
            if other_digits:
                value = re.sub(r"\d", lambda d: r.choice("123456789") if r.random() < 0.5 else d[0], value)
            if other_roles and n and KIND_OF.get(note[n - 1][0]) == "name":
                value = self.title(value)
            if other_roles and n + 1 < len(note) and KIND_OF.get(note[n + 1][0]) == "name":
                value = self.role(value)
            found.append(("", value))
        return found

    def other(self, kind: str, old: str) -> str:
        r = self.r
        roll = r.random()
        if roll < 0.1:
            return old
        if roll < 0.3:
            return shaped(r, r.choice(self.pool[kind])) if kind != "date" else r.choice(self.pool[kind])
        if kind in ("id", "phone", "landline", "chat", "initials") or kind == "number" and roll < 0.7:
            return shaped(r, old)
        if kind == "class":
            return self.values.school_class(r)
        return self.values.draw(r, kind, old)

    def title(self, after: str) -> str:
        lists = self.values.lists
        for word in sorted(lists["title"], key=len, reverse=True):
            if after.startswith(word):
                new = self.r.choice(lists["title"]) if self.r.random() < 0.7 else ""
                return new + after[len(word) :]
        return self.r.choice(lists["title"]) + after if self.r.random() < 0.03 else after

    def role(self, before: str) -> str:
        lists, bare = self.values.lists, before.rstrip(" ：:　")
        for word in sorted(lists["role"], key=len, reverse=True):
            if bare.endswith(word):
                new = self.r.choice(lists["role"]) if self.r.random() < 0.7 else ""
                gap = self.r.choice([before[len(bare) :], "", " ", "：", ":"])
                return bare[: len(bare) - len(word)] + new + gap
        return before + self.r.choice(lists["role"]) if self.r.random() < 0.03 else before

    def scratched(self, pieces: list[Piece]) -> Example:
        """Text and kinds; at times with other punctuation."""
        r, text, kinds = self.r, [], []
        some, lines = r.random() < 0.2, r.random() < 0.15
        for kind, value in pieces:
            number = number_of(kind) if kind else 0
            if not kind and (some or lines):
                value = "".join(self.sign(c, some, lines) for c in value)
            text.append(value)
            kinds += [number] * len(value)
        return "".join(text), kinds

    def sign(self, c: str, some: bool, lines: bool) -> str:
        r = self.r
        if lines and c == "\n":
            return r.choice(["\n", " ", "", "；", "。"])
        if some and c in "，。；：、（）,;: 　" and r.random() < 0.4:
            return r.choice(["", " ", "，", "。", "、", "/", "\n", "；", ":"])
        return c

    def template(self) -> Example:
        text, spans = fill(self.r.choice(self.templates), Case(random.Random(self.r.random()), self.lists))
        at, pieces = 0, []
        for start, end, kind in spans:
            pieces += [("", text[at:start]), (kind, text[start:end])]
            at = end
        pieces.append(("", text[at:]))
        if self.r.random() < 0.5:
            pieces = [(k, self.values.full(self.r) if k == "other name" else v) for k, v in pieces]
        return self.scratched([p for p in pieces if p[1]])

    def negative(self) -> Example:
        r = self.r
        roll = r.random()
        if roll < 0.4:
            text = "".join(self.values.left_alone(r) + r.choice(["", "，", " "]) for _ in range(3))
            text += r.choice(self.questions)
        else:
            text = r.choice(self.plain) if roll < 0.5 else "".join(r.choices(self.questions, k=2))
        return text, [0] * len(text)

    def named_question(self) -> Example:
        """Sentences in which people become, or are followed by, somebody with a name."""
        r, pieces, at = self.r, [], 0
        text = "".join(r.choices(self.questions, k=2))
        for found in PERSON.finditer(text):
            pieces.append(("", text[at : found.start()]))
            at = found.end()
            roll = r.random()
            name = (r.choice(["other", "other", "nick", "given"]), "")
            name = (name[0], self.values.draw(r, name[0], ""))
            if roll < 0.2:
                pieces.append(name)
            elif roll < 0.4:
                pieces += [("", found[0] + r.choice(["", "", "", "：", " ", "（", "叫"])), name]
            else:
                pieces.append(("", found[0]))
        return self.scratched([*pieces, ("", text[at:])])

    def clauses(self) -> Example:
        r, pieces = self.r, []
        drawn = {"d": DEPARTMENTS, "v": VERBS, "k": RELATIVES, "w": self.values.words}
        for _ in range(r.randrange(2, 6)):
            plain = r.choice(re.split("[，。 ]", r.choice(self.plain))) + "，"
            for piece in re.split("({[a-z]})", r.choice([*r.choices(CLAUSES, k=3), plain])):
                if piece == "{n}" and r.random() < 0.2:
                    pieces.append(("", r.choice(VERBS)))
                elif piece == "{n}":
                    pieces.append(("other", self.values.full(r)))
                else:
                    pieces.append(("", r.choice(drawn[piece[1]]) if piece.startswith("{") else piece))
            pieces.append(("", r.choice(["", "", "，", "。", " ", "；"])))
        return self.scratched([p for p in pieces if p[1]])


def cut(r: random.Random, example: Example, most: int) -> Example:
    """A window that begins behind a sign, if it can."""
    text, kinds = example
    if len(text) <= most:
        return example
    begins = [0, *(m.end() for m in re.finditer("[，。；\n]", text) if m.end() < len(text) - 10)]
    start = r.choice(begins)
    return text[start : start + most], kinds[start : start + most]


def _pieces(template: str) -> list[Piece]:
    pieces, at = [], 0
    for mark in MARK.finditer(template):
        pieces += [("", template[at : mark.start()]), (mark[1], mark[2])]
        at = mark.end()
    return [p for p in [*pieces, ("", template[at:])] if p[1]]


def _questions(data: Path) -> list[str]:
    """Sentences in which the rules find nobody."""
    found = []
    for corpus in CORPORA:
        with gzip.open(data / corpus, "rt", encoding="utf-8") as file:
            for line in file:
                text = "\n".join(_strings(json.loads(line)))[:480]
                found += [s for s in _SENTENCE.findall(text) if _is_plain(s)]
    return found


def _is_plain(sentence: str) -> bool:
    try:
        return not scrub(sentence, Known(), -77, layers=RULES).replaced
    except PhiError:
        return False


_SENTENCE = re.compile("[^。！？\n]{6,120}[。！？\n]")
RULES = ("known", "formats", "labels", "names", "places", "dates")


def _words(dictionary: Path, data: Path) -> Iterator[str]:
    """Words of two to four characters: of the dictionary but names, and of what questions repeat."""
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, count, tag = line.split(" ")
        a_name = tag in ("nr", "nrt", "nrfg") and word[0] in SURNAMES
        if 1 < len(word) < 5 and int(count) >= 10 and not a_name and all(map(is_chinese, word)):
            yield word
    counts: Counter[str] = Counter()
    for corpus in CORPORA:
        with gzip.open(data / corpus, "rt", encoding="utf-8") as file:
            for line in file:
                for run in re.findall("[\u4e00-\u9fff]+", "\n".join(_strings(json.loads(line)))):
                    counts.update(
                        run[n : n + size] for size in (1, 2, 3, 4) for n in range(len(run) - size + 1)
                    )
    total = sum(n for w, n in counts.items() if len(w) == 1)
    for word, n in counts.items():
        if len(word) > 1 and n >= 12:
            most = max(counts[word[:k]] * counts[word[k:]] for k in range(1, len(word)))
            if n * total > 40 * most:
                yield word


def _resumes(data: Path) -> list[Example]:
    found = []
    with gzip.open(data / "deid_ner_resume" / "train.char.bmes.gz", "rt", encoding="utf-8") as file:
        for sentence in file.read().split("\n\n"):
            rows = [x.split(" ") for x in sentence.splitlines() if " " in x]
            kinds = [KINDS.index(RESUME.get(tag.split("-")[-1], "")) for _, tag in rows]
            found.append(("".join(c for c, _ in rows), kinds))
    return [f for f in found if f[0]]
