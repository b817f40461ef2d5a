"""The names in a data sheet, Chinese and English; a reason stays the word of rejected.parquet."""

from p2med.clinical.vocabulary import vocabulary
from p2med.sheet.blocks import Words

TASKS: dict[str, Words] = {
    "xray_report": ("X光报告", "X-ray report"),
    "ct_report": ("CT报告", "CT report"),
    "outpatient_record": ("门诊病历", "Outpatient record"),
    "first_course_record": ("首次病程记录", "First course record"),
    "attending_round_record": ("主治医师首次查房", "Attending first round"),
    "chief_round_record": ("主任医师首次查房", "Chief first round"),
}
SEX: dict[str, Words] = {"M": ("男", "male"), "F": ("女", "female"), "O": ("其他", "other")}
UNKNOWN: Words = ("不详", "unknown")
VIEWS: dict[str, Words] = {
    "xray_frontal": ("X光 正位", "X-ray AP or PA"),
    "xray_lateral": ("X光 侧位", "X-ray lateral"),
    "ct_non_contrast": ("CT 平扫", "CT non-contrast"),
    "ct_contrast": ("CT 增强", "CT contrast-enhanced"),
}
NOUNS: dict[str, Words] = {
    "case": ("就诊", "visit"),
    "dicom_file": ("DICOM文件", "DICOM file"),
    "fhir_resource": ("FHIR资源", "FHIR resource"),
    "record_row": ("表格行", "table row"),
    "record": ("记录", "record"),
    "study": ("检查", "study"),
    "series": ("序列", "series"),
    "question": ("问题", "question"),
    "conversation": ("对话", "conversation"),
}
SPLITS: dict[str, Words] = {
    "train": ("训练", "training"),
    "val": ("验证", "validation"),
    "bench": ("基准", "benchmark"),
}
OUTCOMES: dict[str, Words] = {
    "records": ("合计", "records"),
    "kept": ("保留", "kept"),
    "near_duplicate": ("近似重复", "near-duplicate"),
    "duplicate_of_bench": ("与基准重复", "duplicate of the benchmark"),
    "duplicate_of_val": ("与验证重复", "duplicate of validation"),
    "too_few_ngrams": ("文字过少", "too few n-grams"),
    "removed_below_min_jaccard": ("其中相似度低于阈值", "of these below the least Jaccard"),
}
LEAKS: dict[str, Words] = {
    "same_patient": ("同一患儿", "same patient"),
    "same_study": ("同一检查", "same study"),
    "near_text": ("近似文字", "near-duplicate text"),
    "same_image": ("同一影像", "same image"),
    "template": ("同一报告模板", "same report template"),
    "benchmark_item": ("基准条目本身", "benchmark item itself"),
}
DROPPED: dict[str, Words] = {
    "dropped_cases": ("因泄漏剔除就诊", "visits dropped"),
    "dropped_records": ("因泄漏剔除记录", "records dropped"),
}


def named(names: dict[str, Words], word: str) -> Words:
    """A word of the manifests in both languages; itself where it has no name here."""
    plain = word.replace("_", " ")
    return names.get(word, (plain, plain))


def disease(label: str) -> Words:
    """A label of the vocabulary with its English name."""
    return label, vocabulary().english.get(label, label)
