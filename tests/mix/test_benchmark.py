"""The benchmark's counts, its coverage, and a review that is saved and replayed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2med.errors import DataError, RecipeError
from p2med.mix.benchmark import Candidate, Decision, Decisions, choose, edited, read_decisions
from p2med.mix.config import PAPER_BENCHMARK, BenchmarkConfig, BenchmarkTask
from p2med.schema.conversation import Conversation, Turn, text

NOBODY = Decisions()


def candidates(task: str, singles: int, rounds: tuple[int, ...] = (), diseases: int = 90) -> list[Candidate]:
    """Disease d0 is rare, the last one common; conversation ids repeat on no side."""
    found = []
    for n, count in enumerate([1] * singles + list(rounds)):
        label = (f"d{min(n, diseases - 1)}",)
        found.append(Candidate(conversation_id=f"{task}/{n}", task=task, diseases=label, rounds=count))
    return found


def everybody() -> list[Candidate]:
    return [c for t in PAPER_BENCHMARK for c in candidates(t, 400, (2,) * 20 + (3,) * 20)]


def test_the_papers_counts():
    chosen, notes = choose(everybody(), BenchmarkConfig(), NOBODY, seed=0)
    assert sum(n["rounds"] for n in notes.values()) == 642
    assert {t: n["rounds"] for t, n in notes.items()} == {
        "xray_report": 121,
        "ct_report": 121,
        **dict.fromkeys(list(PAPER_BENCHMARK)[2:], 100),
    }
    assert notes["xray_report"]["single"] == 100 and notes["xray_report"]["short"] == {
        "single": 0,
        "rounds": 0,
    }
    assert len(chosen) == sum(n["items"] for n in notes.values())
    for task, wanted in PAPER_BENCHMARK.items():
        assert len(notes[task]["diseases"]) >= wanted.diseases


@given(size=st.integers(1, 2000))
def test_any_size_keeps_the_proportions(size):
    counts = BenchmarkConfig(size=size).counts()
    assert sum(c.single + c.rounds for c in counts.values()) == size
    for task, count in counts.items():
        paper = PAPER_BENCHMARK[task]
        exact = size * (paper.single + paper.rounds) / 642
        assert abs(count.single + count.rounds - exact) < 2


@given(order=st.permutations(range(60)), seed=st.integers(0, 3))
def test_the_choice_does_not_depend_on_the_order_of_reading(order, seed):
    config = BenchmarkConfig(tasks={"t": BenchmarkTask(single=10, rounds=7, diseases=8)})
    pool = candidates("t", 50, (2, 2, 2, 3, 3, 3, 2, 2, 4, 5), diseases=12)
    first, notes = choose(pool, config, NOBODY, seed)
    assert first == choose([pool[n] for n in order], config, NOBODY, seed)[0]
    assert notes["t"]["short"] == {"single": 0, "rounds": 0}


def test_a_shortage_is_said_and_not_filled():
    config = BenchmarkConfig(tasks={"t": BenchmarkTask(single=10, rounds=21, diseases=50)})
    _, notes = choose(candidates("t", 4, (2, 3)), config, NOBODY, 0)
    assert notes["t"]["short"] == {"single": 6, "rounds": 16} and len(notes["t"]["diseases"]) == 6


def test_a_rejected_item_leaves_its_place_to_one_that_nobody_saw():
    config = BenchmarkConfig(tasks={"t": BenchmarkTask(single=10)})
    pool = candidates("t", 30)
    before, _ = choose(pool, config, NOBODY, 0)
    gone = sorted(before)[:2]
    verdicts = {i: Decision(verdict="reject" if i in gone else "accept") for i in before}
    after, notes = choose(pool, config, Decisions(decisions=verdicts), 0)
    assert len(after) == 10 and not set(gone) & after and len(before & after) == 8
    assert notes["t"]["review"] == {"accept": 8, "unreviewed": 2}


def conversation(rounds: int = 1) -> Conversation:
    turns = []
    for n in range(rounds):
        turns.append(Turn(role="user", content=(text(f"问{n}"),)))
        turns.append(Turn(role="assistant", content=(text(f"答{n}"),)))
    return Conversation(conversation_id="t/1", task="t", case_id="c", patient_key="p", turns=tuple(turns))


def test_an_edit_replaces_the_answers_and_nothing_else():
    decisions = Decisions(decisions={"t/1": Decision(verdict="edit", answers=("甲", "乙"))})
    changed = edited(conversation(2), decisions)
    assert [t.text for t in changed.turns] == ["问0", "甲", "问1", "乙"]
    with pytest.raises(DataError, match="one answer for each round"):
        edited(conversation(1), decisions)


def test_a_review_of_other_items_is_refused(tmp_path):
    config = BenchmarkConfig(tasks={"t": BenchmarkTask(single=1)})
    with pytest.raises(RecipeError, match="1 of its ids are no candidates"):
        choose(candidates("t", 3), config, Decisions(decisions={"x": Decision(verdict="accept")}), 0)
    with pytest.raises(RecipeError, match="there is no file"):
        read_decisions(tmp_path / "absent.json")
    (tmp_path / "wrong.json").write_text(json.dumps({"decisions": {"a": {"verdict": "perhaps"}}}))
    with pytest.raises(RecipeError, match="is no review"):
        read_decisions(tmp_path / "wrong.json")
