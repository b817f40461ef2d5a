"""A use that a part's licence forbids is refused by part, licence and clause; so is what is not known."""

import json
from pathlib import Path

import pytest
import yaml
from small_run import write_manifest
from typer.testing import CliRunner

from p2med import plugins
from p2med.card.config import Statement
from p2med.card.ledger import PATH_TYPES, check_use, ledger, refusals
from p2med.card.table import table
from p2med.cli import app
from p2med.errors import P2MedError, RecipeError
from p2med.model.config import ModelSection
from p2med.recipe import read_recipe

REPOSITORY = Path(__file__).parents[2]
SHAPES = {
    "llama": {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32},
    "chinese-llama-2": {"model_type": "llama", "vocab_size": 55296, "hidden_size": 4096},
    "baichuan-2": {"model_type": "baichuan", "vocab_size": 125696, "hidden_size": 4096},
    "qwen2.5-3b": {"model_type": "qwen2", "hidden_size": 2048, "num_hidden_layers": 36},
    "qwen2.5-7b": {"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28},
    "qwen3": {"model_type": "qwen3", "hidden_size": 2560, "num_hidden_layers": 36},
}


def weights(folder: Path, shape: str | None = None, readme: dict | None = None) -> Path:
    """A folder as Hugging Face lays it out, without weights: only what says its licence."""
    folder.mkdir(parents=True, exist_ok=True)
    if shape:
        (folder / "config.json").write_text(json.dumps(SHAPES[shape]))
    if readme is not None:
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump(readme)}---\n# A model\n")
    return folder


def parts_of(folder: Path, *statements: Statement, source: str = "kermany"):
    model = {"llm": {"weights": str(folder)}}
    return ledger(model, [{"kind": source}], statements, folder)


def refused(parts, use) -> list[str]:
    return refusals(parts, (use,))


# ---------------------------------------------------------------- the planted fault of the issue


def test_a_non_commercial_part_is_refused_by_part_licence_and_clause(tmp_path):
    found = refused(parts_of(weights(tmp_path / "m", "qwen3", {"license": "cc-by-nc-4.0"})), "commercial")
    assert len(found) == 1
    assert "llm (m) forbids commercial use" in found[0]
    assert "Attribution-NonCommercial 4.0" in found[0] and "section 2.a.1" in found[0]


def test_the_same_part_may_be_studied_and_passed_on(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "qwen3", {"license": "cc-by-nc-4.0"}))
    assert refused(parts, "research") == [] and refused(parts, "redistribute") == []


def test_a_data_set_without_a_licence_is_refused_beyond_research(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "qwen3", {"license": "apache-2.0"}), source="imcs")
    for use in ("clinical", "commercial", "redistribute"):
        (why,) = refused(parts, use)
        assert why.startswith("data:imcs_mrg_dialogue2report") and "no licence stated" in why
    assert refused(parts, "research") == []


def test_weights_of_which_nothing_is_known_are_refused_with_what_to_do(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "qwen2.5-7b"))
    (why,) = refused(parts, "commercial")
    assert "llm (m): no licence is known" in why and "licences: [{part: llm" in why
    assert refused(parts, "research") == []


def test_permissive_parts_pass(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "qwen2.5-7b", {"license": "apache-2.0"}))
    for use in ("research", "clinical", "commercial", "redistribute"):
        assert refused(parts, use) == []
    llm = parts[0]
    assert llm.licences == ("Apache-2.0",) and "README" in llm.known_by and llm.asks["redistribute"]


# ---------------------------------------------------------------- what a shape betrays


def test_a_mirror_cannot_free_a_research_model(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "qwen2.5-3b", {"license": "apache-2.0"}))
    (why,) = refused(parts, "commercial")
    assert "Qwen Research License" in why and "qwen2.5-3b" in parts[0].known_by


def test_chinese_llama_2_keeps_metas_terms_beside_apache(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "chinese-llama-2", {"license": "apache-2.0"}))
    assert parts[0].licences == ("Apache-2.0", "llama-2")
    assert "700 million" in parts[0].asks["commercial"] and refused(parts, "commercial") == []


def test_baichuan_2_needs_a_permission_which_the_recipe_can_name(tmp_path):
    folder = weights(tmp_path / "m", "baichuan-2", {"license": "other"})
    assert "written permission" in refused(parts_of(folder), "commercial")[0]
    letter = Statement(part="llm", name="baichuan-2", permits=("commercial",), by="letter of 2026-11-02")
    parts = parts_of(folder, letter)
    assert refused(parts, "commercial") == [] and parts[0].permits == {"commercial": "letter of 2026-11-02"}
    assert refused(parts, "redistribute")


def test_an_ambiguous_shape_adds_nothing_but_frees_nothing_either(tmp_path):
    parts = parts_of(weights(tmp_path / "m", "llama"))
    assert "no licence is known" in refused(parts, "commercial")[0]
    parts = parts_of(weights(tmp_path / "m", "llama"), Statement(part="llm", name="vicuna-1.3"))
    assert "solely for non-commercial research" in refused(parts, "clinical")[0]
    parts = parts_of(weights(tmp_path / "m", "llama"), Statement(part="llm", name="llama-2"))
    assert refused(parts, "commercial") == []


def test_a_name_that_the_folder_contradicts_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"is no qwen2.5: its config.json has .*2048"):
        parts_of(weights(tmp_path / "m", "qwen2.5-3b"), Statement(part="llm", name="qwen2.5"))


def test_what_the_readme_forbids_stays_forbidden_whatever_the_recipe_states(tmp_path):
    folder = weights(tmp_path / "m", "qwen3", {"license": "cc-by-nc-4.0"})
    assert "NonCommercial" in refused(parts_of(folder, Statement(part="llm", licence="MIT")), "commercial")[0]
    lifted = Statement(part="llm", licence="MIT", permits=("commercial",), by="mail of the authors")
    assert refused(parts_of(folder, lifted), "commercial") == []


# ---------------------------------------------------------------- what a recipe states


def test_a_licence_in_ones_own_words_needs_what_it_forbids_and_its_source(tmp_path):
    folder = weights(tmp_path / "m", "qwen3")
    with pytest.raises(RecipeError, match="not in the table, so say also what it `forbids`"):
        parts_of(folder, Statement(part="llm", licence="Hospital agreement 7"))
    said = Statement(part="llm", licence="Hospital agreement 7", forbids="redistribute", source="contract 7")
    parts = parts_of(folder, said)
    assert "Hospital agreement 7, as the recipe states it" in refused(parts, "redistribute")[0]
    assert refused(parts, "clinical") == []


def test_a_statement_about_no_part_or_twice_is_refused(tmp_path):
    folder = weights(tmp_path / "m", "qwen3")
    with pytest.raises(
        RecipeError, match="encodr is no part of this recipe; its parts are llm, data:kermany"
    ):
        parts_of(folder, Statement(part="encodr", licence="MIT"))
    with pytest.raises(RecipeError, match="llm stands there twice"):
        parts_of(folder, Statement(part="llm", licence="MIT"), Statement(part="llm", licence="MIT"))
    with pytest.raises(RecipeError, match="no model 'gpt-5'; known: llama-2"):
        parts_of(folder, Statement(part="llm", name="gpt-5"))
    with pytest.raises(ValueError, match="needs `by`"):
        Statement(part="llm", permits=("commercial",))
    with pytest.raises(ValueError, match="say its `name`"):
        Statement(part="llm")


def test_a_hospitals_own_data_beside_invented_ones_are_a_part_of_their_own(tmp_path):
    source = {"kind": "hospital", "dicom_dir": "run:0_synth/pacs", "exports_dir": "/mnt/exports"}
    source["tables"] = [{"file": "a.csv", "kind": "patient", "columns": {"a": "patient_id"}}]
    parts = ledger({}, [{"kind": "kermany"}, source], (), tmp_path)
    assert [p.part for p in parts] == ["data:kermany_pediatric_cxr_224", "source-2", "synth"]
    assert "/mnt" not in json.dumps([p.model_dump() for p in parts])
    assert any("source-2" in why for why in refused(parts, "clinical"))
    approved = Statement(part="source-2", licence="ethics 2026-17", forbids="redistribute", source="file 17")
    parts = ledger({}, [{"kind": "kermany"}, source], (approved,), tmp_path)
    assert not any("source-2" in why for why in refused(parts, "clinical"))


def test_a_path_that_leaves_the_invented_or_shared_folder_is_your_own(tmp_path):
    for path in ("run:0_synth/../real", "data:kermany_pediatric_cxr_224/../mine.zip"):
        parts = ledger({}, [{"kind": "kermany", "images": path, "labels": path}], (), tmp_path)
        assert [p.part for p in parts] == ["source-1"] and refused(parts, "clinical")


def test_what_was_ingested_counts_though_the_recipe_has_changed_since(tmp_path):
    write_manifest(tmp_path, "ingest", section={"sources": [{"kind": "imcs"}]})
    films = read_recipe(REPOSITORY / "recipes" / "real" / "pediatric_cxr.yaml").ingest.sources
    check_use(None, films, (), ("commercial",), tmp_path)
    with pytest.raises(RecipeError, match="data:imcs_mrg_dialogue2report"):
        check_use(None, films, (), ("commercial",), tmp_path, mixed=True)


def test_invented_patients_forbid_clinical_use():
    recipe = read_recipe(REPOSITORY / "recipes" / "demo.yaml")
    with pytest.raises(RecipeError, match=r"synth \(synthetic hospital\) forbids clinical use: .*invented"):
        check_use(recipe.model, recipe.ingest.sources, (), ("clinical",), Path("runs/demo"))
    kept = check_use(recipe.model, recipe.ingest.sources, (), ("commercial",), Path("runs/demo"))
    assert [p["part"] for p in kept["parts"]] == ["llm", "encoder", "connector", "tokenizer", "synth"]


def test_data_that_the_recipe_did_not_read_are_unknown():
    found = refused(ledger({}, [], (), Path()), "commercial")
    assert "data (" in found[0] and "no licence is known" in found[0]


# ---------------------------------------------------------------- the commands


def recipe_file(tmp_path: Path, **changes) -> Path:
    raw = yaml.safe_load((REPOSITORY / "recipes" / "real" / "imcs_record.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(raw | changes, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["run", "train"])
def test_training_is_refused_before_anything_is_read_or_written(tmp_path, command):
    path = recipe_file(tmp_path, use="commercial")
    done = CliRunner().invoke(app, [command, str(path), "--runs", str(tmp_path / "runs")])
    assert isinstance(done.exception, P2MedError) and "data:imcs_mrg" in str(done.exception)
    assert not (tmp_path / "runs").exists()


def test_a_use_that_is_none_and_a_statement_too_short_are_refused_as_the_recipe_is_read(tmp_path):
    with pytest.raises(RecipeError, match="use"):
        read_recipe(recipe_file(tmp_path, use="fun"))
    with pytest.raises(RecipeError, match="needs `by`"):
        read_recipe(recipe_file(tmp_path, licences=[{"part": "llm", "permits": "commercial"}]))
    recipe = read_recipe(recipe_file(tmp_path, use=["clinical", "redistribute"]))
    assert recipe.use == ("clinical", "redistribute")


# ---------------------------------------------------------------- the table


def test_every_row_of_the_table_names_licences_that_are_there():
    for row in (*table().models.values(), *table().data.values()):
        assert set(row.licences) <= set(table().licences), row
    names = [x for row in table().licences.values() for x in row.hugging_face]
    assert len(names) == len(set(names))


def test_every_shared_set_of_a_recipe_is_in_the_table():
    for path in sorted((REPOSITORY / "recipes" / "real").glob("*.yaml")):
        recipe = read_recipe(path)
        parts = ledger({}, [s.model_dump() for s in recipe.ingest.sources], (), Path())
        assert parts and all(p.part.startswith("data:") and p.licences for p in parts), path


def test_a_sources_plain_strings_are_the_places_it_reads():
    known = {"images", "labels", "records", "file", "archives", "bundles", "dicom_dir", "exports_dir"}
    known |= {"database", "bench_patients"}
    for name in plugins.names("p2med.ingest.sources"):
        fields = plugins.load("p2med.ingest.sources", name).Options.model_fields
        assert {n for n, f in fields.items() if f.annotation in PATH_TYPES} <= known, name


def test_the_model_section_as_the_recipe_has_it_is_understood(tmp_path):
    folder = weights(tmp_path / "siglip", readme={"license": "apache-2.0"})
    section = ModelSection(encoder={"kind": "siglip", "weights": str(folder)}, llm={"weights": None})
    parts = ledger(section.model_dump(mode="json"), [{"kind": "kermany"}], (), tmp_path)
    assert [p.part for p in parts] == ["llm", "encoder", "connector", "data:kermany_pediatric_cxr_224"]
    assert parts[1].licences == ("Apache-2.0",) and parts[0].licences == ("made-here",)
