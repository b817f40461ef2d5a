"""The switches that ablations turn: rounds taught and asked singly, the language model's family."""

from datetime import date

import pytest
import torch

from p2med import plugins
from p2med.bench.rounds import rounds
from p2med.imaging.spec import ImageSpec
from p2med.mix.config import MixConfig
from p2med.mix.render import render
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.model.checkpoint import load_checkpoint, save_checkpoint
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.schema.case import Case, Patient, Record, Series, Study, Volume

TASK = plugins.load("p2med.tasks", "xray_report").TASK


def visit(split: str = "train", days: int = 2) -> Case:
    """Films on several days, the latest first, each with a disease of its own."""
    studies, reports = [], []
    for day in range(days, 0, -1):
        volume = Volume(path=f"run:{day}.npy", shape=(1, 8, 8), dtype="float16", unit="unit_interval")
        series = (Series(series_uid=f"s{day}.1", volume=volume),)
        studies.append(
            Study(study_uid=f"s{day}", study_date=date(2022, 1, day), modality="DX", series=series)
        )
        sections = {"findings": f"所见{day}", "impression": f"诊断{day}"}
        reports.append(
            Record(
                record_id=f"r{day}",
                kind="radiology_report",
                study_uid=f"s{day}",
                sections=sections,
                diagnoses=(f"病{day}",),
            )
        )
    return Case(
        case_id="c1",
        source="test",
        patient=Patient(patient_key="p1"),
        split=split,
        studies=tuple(studies),
        records=tuple(reports),
    )


def rendered(case: Case, single_round: bool):
    config = MixConfig(stages={"stage1": {"xray_report": {}}}, single_round=single_round)
    return sorted(render(case, {"xray_report": TASK}, config), key=lambda c: c.conversation_id)


def test_each_examination_is_taught_alone_with_its_own_diseases():
    (whole,) = rendered(visit(), single_round=False)
    alone = rendered(visit(), single_round=True)
    assert [c.conversation_id for c in alone] == [f"{whole.conversation_id}/round{n}" for n in (0, 1)]
    assert [t for c in alone for t in c.turns] == list(whole.turns)
    assert whole.diseases == ("病1", "病2") and [c.diseases for c in alone] == [("病1",), ("病2",)]


def test_one_examination_and_held_out_visits_stay_what_they_are():
    for case in (visit(days=1), visit("bench"), visit("val")):
        assert rendered(case, single_round=True) == rendered(case, single_round=False)


def test_rounds_asked_alone_have_no_earlier_report():
    (whole,) = rendered(visit(), single_round=False)
    with_history, alone = rounds(whole), rounds(whole, single=True)
    assert [len(r.asked.turns) for r in with_history] == [1, 3]
    assert [len(r.asked.turns) for r in alone] == [1, 1]
    key = [(r.asked.conversation_id, r.round, r.reference, r.asked.turns[-1]) for r in with_history]
    assert key == [(r.asked.conversation_id, r.round, r.reference, r.asked.turns[-1]) for r in alone]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_family_of_fresh_weights_learns_is_saved_and_read(family, tmp_path):
    shape = dict(
        hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256,
    )  # fmt: skip
    section = ModelSection(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4),
        connector=PartConfig(kind="linear"),
        llm=LlmConfig(family=family, **shape),
        adapter=PartConfig(kind="lora", rank=2),
        tokenizer=TokenizerConfig(vocab_size=320),
    )
    tokenizer = build_tokenizer(section, ["两肺纹理增多，右肺下野见斑片状模糊影。abc def"])
    image = ImageSpec(size=32, max_slices=4)
    model, processor = build(section, image, tokenizer)
    add_adapter(model, section.adapter, seed=0)
    text = model.config.text_config
    assert text.model_type == family and text.num_key_value_heads == 4
    names = {n.split(".layers.0.")[-1] for n, _ in model.language_model.named_parameters()}
    assert any("q_proj" in n and n.endswith("bias") for n in names) == (family == "qwen2")
    assert any("q_norm" in n for n in names) == (family == "qwen3")
    save_checkpoint(tmp_path / "made", model, tokenizer, processor, image, {})
    again = load_checkpoint(tmp_path / "made").model
    assert again.config.text_config.model_type == family
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
