"""Shared by the X-ray and the CT report task: one round per study, oldest first (P2Med Sec. III-C)."""

from collections.abc import Iterator

from p2med.schema.case import Case, Study
from p2med.schema.conversation import Conversation, Turn, image, text
from p2med.schema.terms import Metric, Modality, Section
from p2med.tasks.base import (
    Component,
    Language,
    Question,
    Task,
    assistant,
    user,
    write_format,
    write_sections,
)

OPENING = {"zh": "当前放射学资料如下：", "en": "Current radiological data is as follows:"}
CLOSING = {
    "zh": "根据以上信息，结合专业放射学知识，按以下格式生成报告：",
    "en": "Based on the above information, combined with professional radiological knowledge, "
    "generate a report in the format:",
}
TIME_UNKNOWN = {"zh": "不详", "en": "unknown"}


class RadiologyReport(Task):
    """All studies of one modality in one visit become one multi-round conversation."""

    modality: Modality
    needs_image = True
    components = (
        Component(section=Section.FINDINGS),
        Component(section=Section.IMPRESSION, metrics=(Metric.ACCURACY, Metric.COMPREHENSIVENESS)),
    )
    inputs = (Section.EXAMINATION_TIME,)

    def wants(self, study: Study) -> bool:
        return study.modality.is_xray == self.modality.is_xray

    def ask(self, question: Question, language: Language = "zh") -> Turn:
        if not question.volumes:
            raise ValueError(f"{self.name} needs an image")
        when = question.sections.get(Section.EXAMINATION_TIME) or TIME_UNKNOWN[language]
        head = "\n".join(
            [
                OPENING[language],
                f"[{Section.EXAMINATION_TIME.heading(language)}]{when}",
                f"[{Section.EXAMINATION_MODALITY.heading(language)}]{self.modality.heading(language)}",
                f"[{Section.IMAGE.heading(language)}]",
            ]
        )
        tail = f"\n{CLOSING[language]}\n{write_format(self.outputs, language)}"
        return user(text(head), *(image(v) for v in question.volumes), text(tail))

    def conversations(self, case: Case, language: Language = "zh") -> Iterator[Conversation]:
        turns: list[Turn] = []
        diseases: list[str] = []
        studies = [s for s in case.studies if self.wants(s)]
        for study in sorted(studies, key=lambda s: (str(s.study_date), s.study_uid)):
            report = case.report_of(study)
            if report is None or not all(report.sections.get(s) for s in self.outputs):
                continue
            diseases += [d for d in report.diagnoses if d not in diseases]
            sections = {Section.EXAMINATION_TIME: _day(study, language)}
            volumes = tuple(s.volume for s in study.series)
            turns.append(self.ask(Question(sections=sections, volumes=volumes), language))
            turns.append(assistant(write_sections(report.sections, self.outputs, language)))
        if turns:
            yield Conversation(
                conversation_id=f"{self.name}/{case.case_id}",
                task=self.name,
                language=language,
                case_id=case.case_id,
                patient_key=case.patient.patient_key,
                turns=tuple(turns),
                diseases=tuple(diseases) or case.diagnoses,
            )


def _day(study: Study, language: Language) -> str:
    if study.study_date is None:
        return TIME_UNKNOWN[language]
    day = study.study_date
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else day.isoformat()
