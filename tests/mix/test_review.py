"""The review page holds every item, runs no text of a record, and starts from an earlier review."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_mix_run import BENCHMARK, CONFIG, stem, write_curate

from p2med.errors import P2MedError
from p2med.files import write_volume
from p2med.mix.benchmark import read_decisions
from p2med.mix.review import write_review
from p2med.mix.run import run
from p2med.schema.conversation import text
from p2med.store import verb_folder


@pytest.fixture
def mixed(tmp_path):
    write_curate(tmp_path)
    write_volume(tmp_path / "x.npy", np.arange(64, dtype=np.float16).reshape(1, 8, 8) / 64)
    run(CONFIG.model_copy(update={"benchmark": BENCHMARK}), tmp_path)
    return tmp_path


def test_every_item_is_on_the_page_with_its_images_and_one_field_a_round(mixed):
    items = stem(mixed, "bench")
    assert write_review(verb_folder(mixed, "mix"), mixed / "review.html") == len(items) == 4
    page = (mixed / "review.html").read_text(encoding="utf-8")
    assert re.findall(r'data-id="([^"]+)"', page) == [i.conversation_id for i in items]
    assert page.count("<textarea") == sum(t.role == "assistant" for i in items for t in i.turns)
    assert page.count('src="data:image/png;base64,') == sum(len(i.volumes) for i in items) > 0
    assert "http:" not in page and "https:" not in page and "{{" not in page
    again = mixed / "again.html"
    write_review(verb_folder(mixed, "mix"), again)
    assert again.read_bytes() == (mixed / "review.html").read_bytes()


def test_no_text_becomes_a_part_of_the_page(mixed, monkeypatch):
    hostile = '</textarea><script>alert("1")</script>'
    items = stem(mixed, "bench")
    turns = tuple(t.model_copy(update={"content": (text(hostile + "{{NAME}}"),)}) for t in items[0].turns)
    planted = items[0].model_copy(update={"turns": turns, "diseases": (hostile,)})
    monkeypatch.setattr("p2med.mix.review.read_items", lambda *_: [planted])
    review = {"decisions": {planted.conversation_id: {"verdict": "reject", "note": hostile}}}
    (mixed / "d.json").write_text(json.dumps(review))
    write_review(verb_folder(mixed, "mix"), mixed / "review.html", mixed / "d.json")
    page = (mixed / "review.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and page.count("<script") == 2 and page.count("</script>") == 2


def test_an_earlier_review_is_where_the_page_starts(mixed):
    first = stem(mixed, "bench")[0].conversation_id
    review = {"reviewer": "甲", "decisions": {first: {"verdict": "accept"}, "gone": {"verdict": "reject"}}}
    (mixed / "d.json").write_text(json.dumps(review))
    write_review(verb_folder(mixed, "mix"), mixed / "review.html", mixed / "d.json")
    page = (mixed / "review.html").read_text(encoding="utf-8")
    start = json.loads(re.search(r'id="start">(.*?)</script>', page).group(1))
    assert start["reviewer"] == "甲" and set(start["decisions"]) == {first, "gone"}


def test_what_cannot_be_reviewed_is_refused(mixed):
    with pytest.raises(P2MedError, match="no finished mix"):
        write_review(verb_folder(mixed, "curate"), mixed / "review.html")
    (mixed / "d.json").write_text(json.dumps({"decisions": {"x": {"verdict": "accept"}}}))
    with pytest.raises(P2MedError, match="another benchmark"):
        write_review(verb_folder(mixed, "mix"), mixed / "review.html", mixed / "d.json")
    assert not (mixed / "review.html").exists()


@pytest.mark.skipif(
    shutil.which("node") is None, reason="the page's script is run by node, which is not here"
)
def test_what_the_page_saves_is_replayed(mixed):
    page, saved = mixed / "review.html", mixed / "decisions.json"
    write_review(verb_folder(mixed, "mix"), page)
    script = Path(__file__).with_name("review_page.js")
    subprocess.run(["node", str(script), str(page), str(saved)], check=True, timeout=60)
    first = stem(mixed, "bench")
    assert read_decisions(saved).reviewer == "甲"
    reviewed = BENCHMARK.model_copy(update={"decisions": "run:decisions.json"})
    manifest = run(CONFIG.model_copy(update={"benchmark": reviewed}), mixed)
    second = {c.conversation_id: c for c in stem(mixed, "bench")}
    assert second[first[0].conversation_id] == first[0]
    edited = second[first[1].conversation_id]
    assert {t.text for t in edited.turns if t.role == "assistant"} == {"改过"}
    assert first[2].conversation_id not in second
    verdicts = sum((Counter(n["review"]) for n in manifest.notes["benchmark"].values()), Counter())
    assert verdicts["accept"] == verdicts["edit"] == 1 and "reject" not in verdicts
