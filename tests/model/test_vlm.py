"""The joint model: the paper's size, image tokens, caching, padding, images that matter."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, CLIPVisionConfig, CLIPVisionModel

from p2med.errors import ModelError, RecipeError
from p2med.imaging.spec import ImageSpec
from p2med.model.build import build, model_shape
from p2med.model.checkpoint import save_checkpoint
from p2med.model.config import ModelSection, PartConfig
from p2med.model.vlm import P2MedForConditionalGeneration


def count(module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e9


def test_the_papers_shape_has_the_papers_size():
    # Spec section 2: LLM 6.929 B (LLaMA-2-7B with 55,296 tokens), ViT-L 0.304 B, perceiver 0.860 B: 8.09 B.
    with torch.device("meta"):
        model = P2MedForConditionalGeneration(model_shape(ModelSection(), ImageSpec(), vocab_size=55296))
    assert count(model.language_model) == pytest.approx(6.929, abs=1e-3)
    assert count(model.encoder) == pytest.approx(0.304, abs=1e-3)
    assert count(model.connector) == pytest.approx(0.860, abs=1e-3)
    assert count(model) == pytest.approx(8.09, abs=5e-3)
    assert model.encoder.patches == 576 and model.connector.latents.shape == (32, 4096)


def test_as_many_features_as_image_tokens_at_any_depth(make, hospital):
    for connector in (
        PartConfig(kind="perceiver", layers=1, latents=4, heads=2, head_width=8),
        PartConfig(kind="linear", fold=4),
    ):
        model, processor = make(connector=connector)
        for depth in (1, 5):
            encoded = processor.encode(hospital.ask("看", hospital.volume(depth)))
            wanted = sum(i == model.config.image_token_id for i in encoded.input_ids)
            pixels, slices = torch.rand(1, depth, 32, 32), torch.tensor([depth])
            features = model.encode(pixels, slices)
            assert model.image_tokens(features, slices).shape[:2] == (1, wanted)


def test_a_wrong_number_of_image_tokens_is_refused(make):
    model, processor = make()
    batch = processor("看<image>", images=[np.zeros((1, 32, 32))])
    batch["input_ids"][0, -1] = model.config.image_token_id
    batch["input_ids"][0, 0] = model.config.image_token_id
    with pytest.raises(ModelError, match="image tokens for 4 image embeddings"):
        model(**batch)


def test_cached_generation_equals_uncached(make):
    model, processor = make(adapter=True)
    batch = processor(["当前<image>诊断", "肺"], images=[np.random.default_rng(0).random((3, 32, 32))])
    settings = dict(max_new_tokens=12, do_sample=False, eos_token_id=None)
    cached = model.generate(**batch, use_cache=True, **settings)
    assert torch.equal(cached, model.generate(**batch, use_cache=False, **settings))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    images = {"pixel_values": batch["pixel_values"], "slices": batch["slices"]}
    for _ in range(12):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, **images).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
        mask = torch.cat([mask, mask.new_ones(2, 1)], dim=1)
    assert torch.equal(cached, ids)


def test_padded_slices_and_neighbours_in_the_batch_change_nothing(make):
    model, _ = make()
    deep, flat = torch.rand(1, 4, 32, 32), torch.rand(1, 1, 32, 32)
    both = torch.zeros(2, 4, 32, 32)
    both[0], both[1, :1] = deep[0], flat[0]
    slices = torch.tensor([4, 1])
    together = model.image_tokens(model.encode(both, slices), slices)
    both[1, 1:] = 7.0
    assert torch.equal(together, model.image_tokens(model.encode(both, slices), slices))
    alone = model.image_tokens(model.encode(flat, slices[1:]), slices[1:])
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_the_image_reaches_the_answer(make):
    model, processor = make()
    batch = processor("看<image>", images=[np.zeros((1, 32, 32))])
    dark = model(**batch).logits
    bright = model(**batch | {"pixel_values": torch.ones(1, 1, 32, 32)}).logits
    assert not torch.allclose(dark, bright)


def test_hugging_face_reads_the_checkpoint(make, tokenizer_model, hospital, tmp_path):
    model, processor = make(adapter=True)
    save_checkpoint(tmp_path / "c", model, tokenizer_model, processor, hospital.spec, {})
    again = AutoModelForImageTextToText.from_pretrained(tmp_path / "c")
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    batch = AutoProcessor.from_pretrained(tmp_path / "c")("<image>肺", images=[np.zeros((2, 32, 32))])
    assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_the_processor_takes_images_without_text(make):
    _, processor = make()
    batch = processor(images=[np.zeros((1, 32, 32)), np.ones((3, 32, 32))])
    assert set(batch) == {"pixel_values", "slices"} and batch["slices"].tolist() == [1, 3]


def test_pretrained_clip_weights_are_taken_and_the_class_token_is_dropped(tokenizer_model, tmp_path):
    shape = dict(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        patch_size=8,
        image_size=32,
    )
    clip = CLIPVisionModel(CLIPVisionConfig(**shape)).eval()
    clip.save_pretrained(tmp_path)
    section = ModelSection(
        encoder=PartConfig(kind="clip_vit", weights=str(tmp_path)),
        connector=PartConfig(kind="perceiver", layers=1, latents=2, heads=1, head_width=8),
        llm=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2),
    )
    model, _ = build(section, ImageSpec(size=32), tokenizer_model)
    slices = torch.rand(2, 32, 32)
    with torch.no_grad():
        found = model.encoder.eval()(slices)
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
        deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
        pixels = (slices[:, None].repeat(1, 3, 1, 1) - mean) / deviation
        layers = clip(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert found.shape == (2, 16, 16)
    assert torch.allclose(found, layers[-2][:, 1:], atol=1e-5)
    with pytest.raises(ModelError, match="32 px"):
        build(section, ImageSpec(size=64), tokenizer_model)


def test_an_unknown_option_names_those_that_exist(make):
    with pytest.raises(RecipeError, match="layrs.*known here:.*layers"):
        make(connector=PartConfig(kind="perceiver", layrs=2))
    with pytest.raises(RecipeError, match="there are: linear, perceiver"):
        make(connector=PartConfig(kind="percevier"))


def test_lora_touches_only_the_language_model_and_starts_as_nothing(make):
    plain, processor = make()
    model, _ = make()
    batch = processor("看<image>", images=[np.ones((1, 32, 32))])
    from_plain = plain(**batch).logits
    assert torch.equal(from_plain, model(**batch).logits)
    adapted, _ = make(adapter=True)
    names = [n for n, _ in adapted.named_parameters() if "lora_" in n]
    assert names and all(n.startswith("language_model.") for n in names)
    for name, p in adapted.named_parameters():
        if "lora_B" in name:
            p.data.zero_()
    assert torch.allclose(adapted(**batch).logits, from_plain, atol=1e-6)
