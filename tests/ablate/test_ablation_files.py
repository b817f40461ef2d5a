"""What an ablation file may say, and what the shipped ones make of the demo's recipe."""

import sys
from pathlib import Path

import pytest
import yaml

from p2med import cli
from p2med.ablate.config import names, read_ablation
from p2med.ablate.variants import make_variants
from p2med.errors import RecipeError
from p2med.recipe import read_recipe

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "recipes" / "ablations"
DEMO = REPOSITORY / "recipes" / "demo.yaml"
TITLE = {"zh": "题", "en": "title"}
IMAGES = ["xray_report", "ct_report"]
TEXTS = ["outpatient_record", "first_course_record", "attending_round_record", "chief_round_record"]


def written(folder: Path, **more) -> Path:
    """An ablation `one` with the variant `changed`."""
    variant = {"title": TITLE, **more.pop("variant")}
    one = {"title": TITLE, "source": "Table II", **more, "variants": {"changed": variant}}
    (folder / "one.yaml").write_text(yaml.safe_dump(one, allow_unicode=True), encoding="utf-8")
    return folder


def variants(folder: Path, name: str = "one"):
    return make_variants(read_recipe(DEMO), read_ablation(folder, name), name)


def test_the_papers_ablations_are_there():
    assert names(SHIPPED) == ["data", "language-model", "single-round", "single-task", "stages"]


@pytest.mark.parametrize("name", names(SHIPPED))
def test_a_shipped_variant_differs_from_the_demo_in_what_it_says_and_its_name(name):
    base = read_recipe(DEMO)
    made = variants(SHIPPED, name)
    assert len({r.name for r in made.values()} | {base.name}) == len(made) + 1
    for recipe in made.values():
        assert (recipe.synth, recipe.ingest, recipe.deid) == (base.synth, base.ingest, base.deid)
        assert (recipe.mix, recipe.model, recipe.train) != (base.mix, base.model, base.train)


def test_stages_and_tasks_that_are_left_out():
    stages = {v: [s.stage for s in r.train.stages] for v, r in variants(SHIPPED, "stages").items()}
    assert stages["without_stage1"] == ["see", "base", "stage2", "stage3"]
    assert stages["without_stage3"] == ["see", "base", "stage1", "stage2"]
    data = variants(SHIPPED, "data")
    text_only = data["without_images"]
    assert [s.stage for s in text_only.train.stages] == ["base", "stage1", "stage2", "stage3"]
    assert all(s.task_weights[t] == 0 for s in text_only.train.stages for t in IMAGES)
    assert sorted(text_only.bench.tasks) == sorted(TEXTS)
    image_only = data["without_text"].train.stages
    assert image_only[0] == read_recipe(DEMO).train.stages[0]
    assert all(s.task_weights["outpatient_record"] == 0 for s in image_only[1:])
    chief = variants(SHIPPED, "single-task")["only_chief"]
    assert [s.stage for s in chief.train.stages] == ["base", "stage2", "stage3"]


@pytest.mark.parametrize(
    "variant, said",
    [
        ({}, "changes nothing"),
        ({"set": {"model.llm.family": "llama"}}, "variant changed: model.llm.family changes nothing"),
        (
            {"set": {"bench.max_new_tokens": 99, "mix.single_round": False}},
            "variant changed: mix.single_round changes nothing",
        ),
        ({"only_tasks": [*IMAGES, *TEXTS]}, "variant changed: only_tasks changes nothing"),
        ({"only_tasks": ["xray"]}, "variant changed: only_tasks: xray is not taught; there are: xray_report"),
        (
            {"without_stages": ["stage9"]},
            "variant changed: no training stage stage9; there are: see, base, stage1",
        ),
        ({"without_stage": ["stage1"]}, "unknown key; known here: title, without_stages, only_tasks, set"),
        ({"set": {"train.stagess": 1}}, "variant changed: train.stagess: unknown key; known here: device"),
        ({"set": {"train.stages.9.lr": 1}}, "train.stages.9.lr: there is no such place in the recipe"),
        ({"set": {"name.first": 1}}, "name.first: there is no such place in the recipe"),
    ],
)
def test_a_wrong_variant_is_refused_by_name(variant, said, tmp_path):
    with pytest.raises(RecipeError) as caught:
        variants(written(tmp_path, variant=variant))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_one_row_or_has_no_task_in_the_table_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="one_row"):
        variants(written(tmp_path, variant={"without_stages": ["stage1"]}, one_row=TITLE))
    with pytest.raises(RecipeError, match="none is taught"):
        variants(written(tmp_path, variant={"only_tasks": IMAGES}, tasks=TEXTS))
    with pytest.raises(RecipeError, match="unknown key"):
        variants(written(tmp_path, variant={"only_tasks": IMAGES}, task=TEXTS))


@pytest.mark.parametrize(
    "words, said",
    [
        (["nosuch", str(DEMO)], "no ablation 'nosuch'; there are: data, language-model"),
        (["stages"], "name the base recipe"),
        (["stages", str(REPOSITORY / "recipes" / "paper.yaml")], "has no section model, train, bench"),
        (["stages", str(DEMO), "--set", "bench.checkpoint=stage1"], "bench.checkpoint"),
        (["stages", str(DEMO), "--set", "train.nosuch=1"], "unknown key"),
    ],
)
def test_the_command_refuses_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    known = ["--ablations", str(SHIPPED), "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["p2med", "ablate", *words, *known])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    complaint = capsys.readouterr().err
    assert caught.value.code == 2 and said in complaint and complaint.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_command_lists_them(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["p2med", "ablate", "list", "--ablations", str(SHIPPED)])
    with pytest.raises(SystemExit):
        cli.main()
        raise SystemExit
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names(SHIPPED)
