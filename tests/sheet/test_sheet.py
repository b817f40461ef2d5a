"""The data sheet says what the manifests say, in two languages and three forms, and reads nothing else."""

import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from p2med.curate.run import run as curate
from p2med.errors import P2MedError
from p2med.mix.run import run as mix
from p2med.recipe import read_recipe
from p2med.sheet.blocks import Bars, Table, by_count, said
from p2med.sheet.content import chapters
from p2med.sheet.show import show
from p2med.sheet.write import as_html, as_markdown, write_sheet
from p2med.sheet.write import show as show_sheet
from p2med.store import read_manifest, verb_folder
from p2med.synth.config import SynthConfig
from p2med.synth.paper import run as synth

RECIPE = Path(__file__).parents[2] / "recipes" / "paper.yaml"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "paper"
    synth(SynthConfig(paper_scale=True, share=0.003, workers=1), root)
    recipe = read_recipe(RECIPE, ("curate.workers=1", "mix.workers=1", "curate.split={val: 0.1, bench: 0.2}"))
    curate(recipe.curate, root)
    mix(recipe.mix, root)
    return root


def blocks(root: Path) -> dict[str, Table | Bars]:
    return {b.title[1]: b for part in chapters(root) for b in part.blocks if isinstance(b, (Table, Bars))}


def test_counts_are_those_of_the_manifests(done):
    found = blocks(done)
    steps = {
        (r[0], r[1][1].replace("visit", "case")): r[2:]
        for r in found["At each step: in = out + rejected"].rows
    }
    for verb in ("deid", "curate", "mix"):
        for noun, c in read_manifest(verb_folder(done, verb)).counts.items():
            assert steps[verb, noun] == (c.entered, c.passed, c.rejected)
            assert c.entered == c.passed + c.rejected
    lost = sum(n for *_, n in found["Why"].rows)
    assert lost == sum(r[2] for r in steps.values())
    census = read_manifest(verb_folder(done, "curate")).notes["census"]
    assert sum(n for _, n in found["a sex (patients)"].items) == sum(census["sex"].values()) > 400
    assert sum(n for _, n in found["b age (years, visits)"].items) == sum(census["age_years"].values())


def test_table_v_and_figure_7_are_those_of_the_mix(done):
    found, notes = blocks(done), read_manifest(verb_folder(done, "mix")).notes
    table = found["Conversations of each stage (the paper's Table V)"]
    rows = {r[0][1]: r[1:] for r in table.rows}
    for k, stage in enumerate(("stage1", "stage2", "stage3")):
        drawn = sum(t["drawn"] for t in notes["stages"][stage].values())
        assert rows["sum"][k] == drawn
    outpatient = notes["stages"]["stage1"]["outpatient_record"]
    assert rows["Outpatient record"][0] == outpatient["drawn"] > 1000
    bars = found["e Outpatient record · stage1"]
    shown = {label: n for (label, _), n in bars.items}
    assert shown == dict(sorted(outpatient["diseases"].items(), key=lambda x: (-x[1], x[0]))[:40])
    assert ("支气管炎", "Bronchitis") in dict(bars.items)
    assert [n for _, n in bars.items] == sorted((n for _, n in bars.items), reverse=True)
    raw = found["d Outpatient record · before deduplication"]
    assert dict(raw.items)[bars.items[0][0]] >= bars.items[0][1]


def test_stages_stand_in_the_order_of_the_recipe(done, tmp_path):
    for verb in ("curate", "mix"):
        shutil.copytree(verb_folder(done, verb), verb_folder(tmp_path, verb))
    path = verb_folder(tmp_path, "mix") / "manifest.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert raw["notes"]["order"] == ["stage1", "stage2", "stage3"]
    raw["notes"]["order"] = ["stage3", "stage1", "stage2"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    table = blocks(tmp_path)["Conversations of each stage (the paper's Table V)"]
    assert [en for _, en in table.columns][1:4] == ["stage3", "stage1", "stage2"]


def test_a_chinese_reader_finds_chinese_and_the_pairs(done, tmp_path):
    write_sheet(done, tmp_path)
    page = (tmp_path / "datasheet.zh.html").read_text(encoding="utf-8")
    for english in ("near duplicate", "same patient", "conversation<", ">train<", ">records<"):
        assert english not in page
    assert '<a href="3_curate/duplicates.html">并排示例</a>' in page
    assert "[Pairs side by side](3_curate/duplicates.html)" in (tmp_path / "datasheet.en.md").read_text()


def test_every_form_says_the_same_in_both_languages(done, tmp_path):
    paths = write_sheet(done, tmp_path)
    assert sorted(p.name for p in paths) == [
        f"datasheet.{x}" for x in ("en.html", "en.md", "zh.html", "zh.md")
    ]
    console = Console(width=250, record=True, file=open("/dev/null", "w"))
    show_sheet(done, "en", console)
    terminal = console.export_text()
    text = {p.name: p.read_text(encoding="utf-8") for p in paths}
    for block in blocks(done).values():
        for name in ("datasheet.en.html", "datasheet.en.md"):
            assert block.title[1].replace("'", "&#x27;" if name.endswith("html") else "'") in text[name]
        assert block.title[0] in text["datasheet.zh.html"] and block.title[0] in text["datasheet.zh.md"]
        cells = [n for _, n in block.items] if isinstance(block, Bars) else [c for r in block.rows for c in r]
        for cell in cells:
            if isinstance(cell, int):
                assert all(said(cell, "en") in t for t in (*text.values(), terminal))
    assert "<script" not in text["datasheet.zh.html"] and "http" not in text["datasheet.zh.html"]


def test_only_manifests_are_read_and_the_bytes_repeat(done, tmp_path):
    first = [p.read_bytes() for p in write_sheet(done, tmp_path / "a")]
    for verb in ("deid", "curate", "mix"):
        folder = verb_folder(tmp_path / done.name, verb)
        folder.mkdir(parents=True)
        shutil.copy(verb_folder(done, verb) / "manifest.json", folder)
    assert [p.read_bytes() for p in write_sheet(tmp_path / done.name, tmp_path / "b")] == first


def test_a_name_from_a_table_stays_a_text():
    part = [p for p in [by_count(("甲", "a"), {"<b>x|y</b>": 3})]]
    page = as_html([type("P", (), {"title": ("<i>", "<i>"), "blocks": part})()], "en", "<u>")
    assert not re.search("<b>|<i>|<u>", page) and "&lt;b&gt;x|y" in page
    line = as_markdown([type("P", (), {"title": ("t", "t"), "blocks": part})()], "en", "t")
    assert "<b>x\\|y</b> | 3" in line


def test_show_takes_a_run_a_verb_or_an_item(done, capsys):
    show(done, language="en")
    assert "Training stages" in capsys.readouterr().out
    show(verb_folder(done, "curate"))
    assert "near_duplicate" in capsys.readouterr().out
    show(verb_folder(done, "curate"), "co000001-0")
    assert '"case_id": "co000001-0"' in capsys.readouterr().out
    with pytest.raises(P2MedError, match="no item"):
        show(verb_folder(done, "curate"), "nothing")
    with pytest.raises(P2MedError, match="has no manifest.json"):
        show(done.parent)
