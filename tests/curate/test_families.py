"""Splits by family: whoever shares a study, an accession, an image or a record is on one side."""

import random

import numpy as np
import pytest
from curate_cases import sentence

from p2med.curate.config import DedupConfig, LeakConfig, SplitConfig
from p2med.curate.leaks import Trace
from p2med.curate.leaks_images import same_images, written
from p2med.curate.split import draw
from p2med.curate.split_families import Groups, plan
from p2med.errors import P2MedError

SPLIT = SplitConfig(val=0.2, bench=0.4)


def image(seed: int) -> str:
    return written(np.random.default_rng(seed).random((1, 64, 64)).astype(np.float32))


def trace(n: int, patient: str | None = None, **more) -> Trace:
    return Trace(case_id=f"c{n}", patient_key=patient or f"p{n:03d}", **more)


def people() -> list[Trace]:
    """Sixty children; of those with an even number up to 38 each is one child with the next."""
    traces = []
    for n in range(60):
        twin = n - n % 2 if n < 40 else n
        texts = ((f"r{n}", sentence(n if n >= 30 else twin, 150)),)
        more = {}
        if n < 10:
            more["studies"] = (f"s{twin}",)
        elif n < 20:
            more["accessions"] = (f"a{twin}",)
        elif 30 <= n < 40:
            more["prints"] = ((f"s{n}", "X-ray", image(twin)),)
        if n < 20 or n >= 30:
            texts = ((f"r{n}", sentence(1000 + n, 150)),)
        traces.append(trace(n, texts=texts, **more))
    return traces


def planned(traces, presets=None, action="drop"):
    presets = presets or {}
    given = [(t.patient_key, presets.get(t.patient_key)) for t in traces]
    return plan(traces, given, SPLIT, LeakConfig(action=action), DedupConfig())


def test_a_family_is_on_one_side_and_others_are_drawn_as_ever():
    done = planned(people())
    for n in range(0, 40, 2):
        assert done.split_of[f"p{n:03d}"] == done.split_of[f"p{n + 1:03d}"], n
    for n in range(40, 60):
        assert done.split_of[f"p{n:03d}"] == draw(f"p{n:03d}", SPLIT)
    assert done.notes["identities"] == 60 - 5 - 5 - 5 and done.notes["families"] == 40
    assert done.notes["largest_family"] == 2 and not done.leaking


def test_the_order_of_reading_changes_nothing():
    traces = people()
    before = planned(traces)
    random.Random(3).shuffle(traces)
    assert planned(traces) == before


def test_a_free_patient_follows_the_preset_one_of_his_identity():
    done = planned(people(), {"p000": "bench", "p011": "val", "p030": "bench", "p020": "bench"})
    assert (done.split_of["p001"], done.split_of["p010"], done.split_of["p031"]) == ("bench", "val", "bench")
    # A text alone does not move a patient to the benchmark: the record goes instead.
    assert done.split_of["p021"] == draw("p021", SPLIT)


def test_one_child_preset_to_both_sides_leaves_training():
    presets = {"p000": "bench", "p001": "train", "p030": "train", "p031": "val"}
    done = planned(people(), presets)
    assert done.leaking == {"p001": "same_study", "p030": "same_image"}
    with pytest.raises(P2MedError, match="1 same_study, 1 same_image"):
        planned(people(), presets, action="refuse")


def test_a_template_makes_no_family():
    """Three hundred records of one wording would put all children on one side."""
    done = planned([trace(n, texts=((f"r{n}", sentence(1, 150)),)) for n in range(300)])
    assert done.notes["largest_family"] == done.notes["largest_allowed_by_text"] == 8
    assert set(done.split_of.values()) == {"train", "val", "bench"}


def test_a_group_is_known_by_its_smallest_name_whatever_the_order():
    pairs = [("c", "d"), ("b", "c"), ("e", "a"), ("a", "d")]
    for seed in range(10):
        random.Random(seed).shuffle(pairs)
        groups = Groups("fedcba")
        for pair in pairs:
            groups.join(*pair)
        assert groups.groups() == [["a", "b", "c", "d", "e"], ["f"]]


def test_many_copies_of_one_image_are_all_found_among_images_that_are_alike():
    """Forty children with nearly the same chest, and 20 copies of one of them with a little noise."""
    rng = np.random.default_rng(0)
    common = rng.random(1024)
    alone = [common + 0.15 * rng.standard_normal(1024) for _ in range(40)]
    copies = [alone[0] + 0.0005 * rng.standard_normal(1024) for _ in range(20)]
    vectors = np.stack(alone + copies)
    vectors -= vectors.mean(axis=1, keepdims=True)
    prints = np.round(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))).astype(np.int8)
    found = set(same_images(prints, [f"p{n}" for n in range(60)], 0.5, 0.05))
    family = {0, *range(40, 60)}
    assert found == {(i, j) for i in family for j in family if i < j}
