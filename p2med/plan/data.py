"""What a stage's data is like: its mix when there is one, else the paper's counts and stated lengths.

Either way it becomes examples, so that the training's own rules decide which of them share a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from p2med import plugins, store
from p2med.errors import RecipeError
from p2med.imaging.spec import ImageSpec
from p2med.mix.config import MixConfig, SamplerConfig
from p2med.model.build import build_tokenizer, model_shape
from p2med.model.config import ModelSection
from p2med.model.processor import P2MedProcessor
from p2med.model.tokenizer import IMAGE_TOKEN, open_tokenizer
from p2med.plan.layout import image_tokens_of, learns_text, patches_of
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation
from p2med.train.config import StageConfig, TrainConfig
from p2med.train.examples import Example, prepare_examples

TEXT_AT_MOST = 2_000_000
"""Characters on which a tokenizer is learned here; training takes all, and gets about the same lengths."""
CONVERSATIONS_AT_MOST = 20_000
DRAWN = 200
"""Conversations of a task that are drawn when there is no mix."""
PAPER = {
    # task: conversations, diseases, median tokens, spread of their logarithm, share learned, views, slices
    "xray_report": (67_616, 48, 300, 0.26, 0.45, (1, 2), 1),
    "ct_report": (2_321, 9, 340, 0.26, 0.45, (1,), 33),
    "outpatient_record": (684_758, 56, 330, 0.20, 0.30, (0,), 0),
    "first_course_record": (9_180, 48, 1_800, 0.42, 0.35, (0,), 0),
    "attending_round_record": (9_993, 80, 1_800, 0.42, 0.35, (0,), 0),
    "chief_round_record": (6_426, 75, 1_800, 0.42, 0.35, (0,), 0),
}
"""Counts: P2Med Sec. V-A.1, diseases: V-A.5; lengths: shared measurements of the paper's data, log-normal."""
OTHER_TASK = (1_000, 20, 330, 0.20, 0.30, (1,), 1)


@dataclass
class StageData:
    """A stage's examples. `scale`: how many of each group one example stands for; `source`: where from."""

    examples: list[Example]
    scale: dict[tuple[str, str], float]
    conversations: int
    source: str

    @property
    def slices(self) -> float:
        """Of all different images."""
        return self._over_images(lambda shape: shape[0])

    @property
    def image_bytes(self) -> float:
        """Of all different images as they are kept, float16."""
        return self._over_images(lambda shape: 2 * shape[0] * shape[1] * shape[2])

    def _over_images(self, measure: Callable[[tuple[int, int, int]], float]) -> float:
        of = {v.path: (v.shape, self.scale[e.group]) for e in self.examples for v in e.volumes}
        return sum(scale * measure(shape) for shape, scale in of.values())


@dataclass(frozen=True)
class Words:
    """The tokenizer, as far as memory depends on it."""

    vocabulary: int
    image_token_id: int
    tokenizer: PreTrainedTokenizerBase | None


def read_words(section: ModelSection, train: TrainConfig, root: Path) -> Words:
    """The run's tokenizer, the recipe's, or one that is learned on the mix as training will.

    Raises:
      ModelError: the recipe names a tokenizer or weights that are not there.
    """
    kept = [store.verb_folder(root, "train") / s.stage / "tokenizer.model" for s in train.stages]
    found = next((p.read_bytes() for p in kept if p.exists()), None)
    if found is None and (section.llm.weights or (section.tokenizer and section.tokenizer.kind == "file")):
        found = build_tokenizer(section, ())
    elif found is None and _has_mix(root):
        found = build_tokenizer(section, _texts(root, train))
    if found is None:
        size = section.tokenizer.vocab_size if section.tokenizer else 4000
        return Words(size, 4, None)
    tokenizer = open_tokenizer(found)
    shape = model_shape(section, ImageSpec(), len(tokenizer))
    vocabulary = max(shape.text_config.vocab_size, len(tokenizer))
    return Words(vocabulary, tokenizer.convert_tokens_to_ids(IMAGE_TOKEN), tokenizer)


def read_stage(
    section: ModelSection, image: ImageSpec, mix: MixConfig, stage: StageConfig, words: Words, root: Path
) -> StageData:
    """The examples of one stage.

    Raises:
      RecipeError: the stage has no task that this model can learn.
    """
    longest = _longest(section, words)
    if _has_mix(root) and words.tokenizer is not None:
        data = _from_mix(section, image, stage, words, root, longest)
    else:
        data = _from_paper(section, image, mix, stage, words, longest)
    if not data.examples:
        raise RecipeError(f"plan: stage {stage.stage} has no conversation that this model can learn from")
    return data


def targets_of(data: StageData, stage: StageConfig) -> tuple[list[int], list[str]] | None:
    """What the stage's objective predicts beside the text, if it does."""
    objective = plugins.load("p2med.train.objectives", stage.objective)
    return objective.targets(data.examples) if hasattr(objective, "targets") else None


# ---------------------------------------------------------------- from the mix


def _has_mix(root: Path) -> bool:
    return store.read_manifest(store.verb_folder(root, "mix")) is not None


def _texts(root: Path, train: TrainConfig) -> list[str]:
    mix = store.verb_folder(root, "mix")
    texts: dict[str, None] = {}
    for entry in train.stages:
        size = 0
        for conversation in store.read_items(mix, Conversation, stem=entry.stage):
            for turn in conversation.turns:
                texts[turn.text] = None
                size += len(turn.text)
            if size > TEXT_AT_MOST:
                break
    return list(texts)


def _from_mix(
    section: ModelSection, image: ImageSpec, stage: StageConfig, words: Words, root: Path, longest: int
) -> StageData:
    manifest = store.read_manifest(store.verb_folder(root, "mix"))
    assert manifest and words.tokenizer is not None
    folder = store.verb_folder(root, "mix")
    count = sum(1 for _ in store.read_items(folder, Conversation, stem=stage.stage))
    every = -(-count // CONVERSATIONS_AT_MOST) or 1
    chosen = islice(store.read_items(folder, Conversation, stem=stage.stage), 0, None, every)
    connector = model_shape(section, image, words.vocabulary).connector
    processor = P2MedProcessor(words.tokenizer, connector=connector, patches=patches_of(section, image))
    examples, _ = prepare_examples(chosen, processor, longest, learns_text(stage), stage.task_weights)
    groups = {e.group for e in examples}
    return StageData(examples, dict.fromkeys(groups, float(every)), count, "mix")


# ---------------------------------------------------------------- from the paper


def _from_paper(
    section: ModelSection, image: ImageSpec, mix: MixConfig, stage: StageConfig, words: Words, longest: int
) -> StageData:
    data = StageData([], {}, 0, "paper")
    inpatient = sum(PAPER[t][0] for t in PAPER if t.endswith(("course_record", "round_record")))
    for task, sampler in sorted(mix.stages[stage.stage].items()):
        count = _expected(task, sampler, inpatient)
        examples = _drawn(task, section, image, words, longest)
        if stage.task_weights.get(task, 1.0) == 0 or not (learns_text(stage) or examples[0].volumes):
            continue
        data.examples += examples
        data.scale[examples[0].group] = count / len(examples)
        data.conversations += count
    return data


def _expected(task: str, sampler: SamplerConfig, inpatient: int) -> int:
    """How many conversations a sampler leaves of the paper's, at most."""
    count, diseases, *_ = PAPER.get(task, OTHER_TASK)
    if sampler.max_per_category:
        count = min(count, sampler.max_per_category * diseases)
    return min(count, inpatient) if sampler.match_total_of else count


def _drawn(task: str, section: ModelSection, image: ImageSpec, words: Words, longest: int) -> list[Example]:
    _, _, median, spread, share, views, depth = PAPER.get(task, OTHER_TASK)
    depth = min(depth, image.max_slices or depth)
    kind = "text" if views == (0,) else "film" if depth == 1 else "volume"
    random = np.random.default_rng([len(task), 0xDA7A])
    tokens = image_tokens_of(section, image, depth) if depth else 0
    found: list[Example] = []
    while len(found) < DRAWN:
        images = int(random.choice(views)) if tokens else 0
        length = int(random.lognormal(np.log(median), spread))
        length = max(8, min(length, longest - images * tokens))
        ids = random.integers(10, words.vocabulary, length).astype(np.int32)
        ids = np.concatenate([np.full(images * tokens, words.image_token_id, dtype=np.int32), ids])
        shape = (depth, image.size, image.size)
        volumes = tuple(
            Volume(path=f"{task}/{len(found)}/{n}", shape=shape, dtype="float16", unit="unit_interval")
            for n in range(images)
        )
        answer = np.arange(len(ids)) >= len(ids) - int(share * length)
        found.append(
            Example(
                group=(kind if images else "text", task),
                input_ids=ids,
                learned=answer,
                volumes=volumes,
                image_rounds=(0,) * images,
                answers=(tuple(ids[answer].tolist()),) if images else (),
                conclusions=("",),
                diseases=(),
            )
        )
    return found


def _longest(section: ModelSection, words: Words) -> int:
    return model_shape(section, ImageSpec(), words.vocabulary).text_config.max_position_embeddings
