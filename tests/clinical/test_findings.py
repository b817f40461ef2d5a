"""The finding matcher: what, where, and not what a report denies."""

import gzip
import json

import pytest

from p2med import store
from p2med.clinical.findings import FINDINGS, extract_findings

REPORTS = store.data_folder() / "cov_ctr_ct_reports" / "records.jsonl.gz"


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("双肺内未见异常密度影，叶段支气管通畅。", ()),
        ("纵隔内未见肿大淋巴结，双侧胸腔内未见异常密度影。", ()),
        ("右肺下叶见片状磨玻璃影，边缘模糊。", ("磨玻璃影:右", "磨玻璃影:右下")),
        ("双侧胸腔见弧形低密度影", ("胸腔积液:右", "胸腔积液:左")),
        (
            "左肺下叶见两个结节影，其周围见晕状磨玻璃影。",
            ("磨玻璃影:左", "磨玻璃影:左下", "结节:左", "结节:左下"),
        ),
        (
            "双肺上叶及下叶背段见实变影。",
            ("实变:右", "实变:右上", "实变:右下", "实变:左", "实变:左上", "实变:左下"),
        ),
        ("右肺中叶见斑片影，未见胸腔积液。", ("斑片影:右", "斑片影:右中")),
        ("未见气胸，左侧胸腔见液性低密度影。", ("胸腔积液:左",)),
        ("纵隔内见轻度肿大淋巴结影", ("淋巴结肿大",)),
        (
            "两肺纹理增多、增粗。右下肺见片状高密度影。",
            ("斑片影:右", "斑片影:右下", "肺纹理增强:右", "肺纹理增强:左"),
        ),
        ("纵隔心影左移。", ("纵隔移位:左",)),
        ("", ()),
    ],
)  # fmt: skip
def test_findings_of_one_sentence(text, wanted):
    assert extract_findings(text) == wanted


def test_a_place_does_not_reach_over_a_full_stop():
    assert extract_findings("右肺清晰。见结节影。") == ("结节",)
    assert extract_findings("右肺纹理清晰，见结节影。") == ("结节:右",)


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_can_be_denied(name):
    said = {"淋巴结肿大": "肿大淋巴结", "胸膜增厚": "胸膜增厚", "斑片影": "斑片影"}.get(name, name)
    assert all(not f.startswith(name) for f in extract_findings(f"双肺未见{said}。"))


@pytest.mark.data
@pytest.mark.skipif(not REPORTS.exists(), reason="the shared data is not here")
def test_most_real_reports_say_something():
    with gzip.open(REPORTS, "rt", encoding="utf-8") as lines:
        reports = [json.loads(line)["report_zh"] for line in lines]
    silent = sum(not extract_findings(r) for r in reports)
    assert len(reports) == 570
    assert silent < 60
