"""Each filter: planted contradictions are found by name, clean charts and harmless words are left alone."""

import importlib.util
import random
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from curate_cases import case, outpatient, report, write_deid, xray

from p2med.curate.config import CurateConfig, SplitConfig
from p2med.curate.filters import REASONS, conflict_of
from p2med.curate.filters_subject import Subject
from p2med.curate.records import fault_of, token_counter
from p2med.curate.run import run
from p2med.recipe import Recipe
from p2med.schema.case import Patient
from p2med.schema.terms import RecordKind
from p2med.store import data_folder, verb_folder

BENCH = Path(__file__).parents[2] / "bench/filters.py"
NAMES = CurateConfig().filters
TOKENIZER = data_folder() / "tokenizers/chinese_llama2_tokenizer.model"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_filters", BENCH)
    module = sys.modules["bench_filters"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def film(findings: str, impression: str, **facts) -> Subject:
    sections = {"findings": findings, "impression": impression}
    return Subject(RecordKind.RADIOLOGY_REPORT, sections, modality=facts.pop("modality", "DX"), **facts)


def chart(text: str, **facts) -> Subject:
    return Subject(RecordKind.OUTPATIENT_RECORD, {"history_of_present_illness": text}, **facts)


BOY, GIRL = {"sex": "M"}, {"sex": "F"}
CONFLICTS = [
    ("side", film("右肺下叶见片状高密度影。", "左肺下叶肺炎。")),
    ("side", film("左侧胸腔见少量弧形致密影。", "右侧胸腔积液，较前吸收。")),
    ("side", film("右肺见斑片影，右侧肋膈角变钝。", "1.支气管肺炎；2.左侧胸腔积液。")),
    ("side", film("左肺上叶见结节影。", "右肺上叶结节，建议随访。")),
    ("negation", film("双侧胸腔未见积液。右肺见斑片影。", "右肺肺炎；右侧胸腔积液。")),
    ("negation", film("右侧胸腔见积液。", "支气管炎，未见胸腔积液。")),
    ("negation", film("未见气胸。", "右侧气胸。")),
    ("negation", film("两肺见多发斑片影。", "心肺未见明显异常。")),
    ("sex", chart("患儿，男，3岁，咳嗽3天。", **GIRL)),
    ("sex", chart("患儿系女孩，因咳嗽就诊。", **BOY)),
    ("sex", chart("14月男童，主因咳3日收治。", **GIRL)),
    ("sex", chart("性别：女，咳嗽2天。", **BOY)),
    ("sex", chart("外生殖器：双侧睾丸已降。", **GIRL)),
    ("sex", chart("月经初潮11岁。", **BOY)),
    ("age", chart("患儿，男，3岁，咳嗽3天。", age_days=240, **BOY)),
    ("age", chart("女，8月，发热1天。", age_days=2000, **GIRL)),
    ("age", chart("5岁患儿，咳嗽3天。", age_days=400)),
    ("age", chart("年龄23天，咳嗽2天。", age_days=120)),
    ("age", chart("本例1岁2月，女，起病3日。", age_days=900)),
    ("pairing", film("CT平扫示两肺斑片影。", "两肺肺炎。")),
    ("pairing", film("胸部正位片：两肺纹理增多。", "支气管炎。", modality="CT")),
    ("pairing", film("右膝关节诸骨完整。", "右膝未见骨折。")),
    ("pairing", film("两肺见斑片影。", "肺炎。", authored_on=date(2021, 3, 1), study_date=date(2021, 3, 9))),
    ("pairing", film("两肺见斑片影。", "肺炎。", authored_on=date(2021, 9, 1), study_date=date(2021, 3, 9))),
]


@pytest.mark.parametrize("name, subject", CONFLICTS)
def test_a_planted_contradiction_is_found_by_its_own_filter_alone(name, subject):
    fault = conflict_of(subject, NAMES)
    assert fault is not None and fault[0] == REASONS[name]
    assert conflict_of(subject, [n for n in NAMES if n != name]) is None
    stated = [w for w in ("男", "女", "3岁", "8月", "23天") if w in fault[1]]
    assert stated == []  # a detail quotes nothing of the patient


HARMLESS = [
    film("右肺下叶见片状高密度影。", "右肺下叶肺炎。"),
    film("两肺见斑片影。", "右肺肺炎。"),
    film("右肺见斑片影，左侧胸腔见积液。", "右肺肺炎；左侧胸腔积液。"),
    film("右肺见斑片影。", "支气管肺炎。"),
    film("左侧胸腔未见积液。", "右侧胸腔积液。"),
    film("右侧胸腔积液较前减少。", "右侧胸腔积液，较前吸收。"),
    film("原右肺斑片影已吸收。", "心肺未见明显异常。"),
    film("两肺纹理增多。", "心肺未见明显异常。"),
    film("气胸不除外。", "右侧气胸待排。"),
    film("与前CT片比较，右肺斑片影吸收。建议CT检查。", "右肺肺炎。"),
    film("右肺见斑片影。", "肺炎。于2020/08/14行胸部CT平扫。"),
    film("平扫两肺斑片影，与前胸片对比增多。", "两肺肺炎。", modality="CT"),
    film("两肺清晰，肝胆未见异常。", "心肺未见明显异常。"),
    film("两肺见斑片影。", "肺炎。", authored_on=date(2021, 3, 10), study_date=date(2021, 3, 9)),
    chart("患儿，男，3岁，咳嗽3天。", age_days=1300, **BOY),
    chart("患儿男，3岁半。", age_days=1280, **BOY),
    chart("其姐，女，5岁，有哮喘。", age_days=240, **BOY),
    chart("母亲子宫肌瘤病史，孕30周早产。", **BOY),
    chart("入院前3天患儿无明显诱因咳嗽，2天前发热。", age_days=1500),
    chart("咳嗽3天，女，8岁。", age_days=3000, **GIRL),
    chart("1岁时患肺炎，出生时3天黄疸。", age_days=1500),
    chart("患儿，男，5岁。", age_days=1500, **BOY),
    chart("患儿，男，3岁。", **BOY),
    chart("患儿，男，3岁。", sex="O", age_days=None),
]


@pytest.mark.parametrize("subject", HARMLESS)
def test_a_harmless_sentence_is_left_alone(subject):
    assert conflict_of(subject, NAMES) is None


@pytest.mark.parametrize("family", ["A", "B"])
def test_clean_charts_raise_no_alarm(bench, family):
    subjects = list(bench.clean(350, family))
    assert len(subjects) > 1200
    assert [f for s in subjects if (f := conflict_of(s, NAMES))] == []


@pytest.mark.parametrize("family, whole", [("A", 10), ("B", 7)])
def test_planted_faults_are_found(bench, family, whole):
    alarms, found = bench.measure(list(bench.clean(120, family)), 50)
    assert not alarms and all(planted == 50 for planted, _, _ in found.values())
    # Family B's wording of shadows is its own, and not every report says what kind of examination it is of.
    assert sum(named == 50 for _, _, named in found.values()) == whole


def test_curate_drops_what_contradicts_itself_and_says_so(tmp_path):
    one, other = xray(tmp_path, "s1"), xray(tmp_path, "s2")
    boy = Patient(patient_key="p7", sex="M", age_days=1500)
    cases = [
        case(1, studies=(one,), records=(report(one, "右肺肺炎。"),)),
        case(2, studies=(other,), records=(report(other, "心肺未见明显异常。"),)),
        case(3, records=(outpatient("o3", 3, physical_examination="患儿，女，4岁，双肺呼吸音粗。"),)),
    ]
    cases[2] = cases[2].model_copy(update={"patient": boy})
    write_deid(tmp_path, cases)
    config = CurateConfig(split=SplitConfig(val=0, bench=0), dedup=None, workers=1)
    manifest = run(config, tmp_path)
    reasons = manifest.rejected_reasons["record"]
    assert reasons == {"conflict_negation": 1, "conflict_sex": 1}
    assert manifest.counts["record"].entered == 3 and manifest.counts["record"].passed == 1
    rejected = pq.read_table(verb_folder(tmp_path, "curate") / "rejected.parquet").to_pylist()
    assert {r["id"]: r["reason"] for r in rejected if r["noun"] == "record"} == {
        "rs2": "conflict_negation",
        "o3": "conflict_sex",
    }
    kept = run(config.model_copy(update={"filters": ()}), tmp_path)
    assert "record" not in kept.rejected_reasons and kept.counts["record"].passed == 3


def test_a_recipe_counts_with_its_own_tokenizer():
    model = {"tokenizer": {"kind": "file", "path": "run:t.model"}, "llm": {"hidden_size": 8}}
    raw = {"name": "x", "curate": {}, "model": model}
    assert Recipe.model_validate(raw).curate.tokenizer == "run:t.model"
    said = {**raw, "curate": {"tokenizer": "run:other.model"}}
    assert Recipe.model_validate(said).curate.tokenizer == "run:other.model"
    trained = {**raw, "model": {**model, "tokenizer": {"kind": "train"}}}
    assert Recipe.model_validate(trained).curate.tokenizer is None


@pytest.mark.data
@pytest.mark.skipif(not TOKENIZER.exists(), reason="the shared tokenizers are absent")
def test_4000_tokens_of_the_real_tokenizer_pass_and_4001_do_not():
    count = token_counter(TOKENIZER)
    draw = random.Random(5)
    words = "".join(draw.choices("咳嗽发热三天伴喘息气促流涕，。予雾化", k=9000))
    end = next(n for n in range(3000, 9000) if count(words[:n]) == 4000)
    sections = dict(outpatient("o", 1).sections)
    for text, reason in ((words[:end], None), (words[: end + 40], "too_long")):
        tokens = count(text)
        fault = fault_of(RecordKind.OUTPATIENT_RECORD, sections, tokens, 4000)
        assert (fault and fault[0]) == reason and (tokens > 4000) == (reason is not None)
        assert len(text) > tokens  # characters would have dropped both
