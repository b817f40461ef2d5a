"""A choice among named options, answered with a probability for each (by likelihood of the option's text).

<image> 这张影像属于哪一类？可选：正常、肺炎 -> 肺炎
"""

from collections.abc import Iterator

from p2med.schema.case import Case
from p2med.schema.conversation import Conversation, Turn, image, text
from p2med.tasks.base import Language, Question, Task, assistant, user

DEFAULT_QUESTION = {"zh": "该患儿的影像属于哪一类？", "en": "Which class does this child's image belong to?"}


class Classification(Task):
    name = "classification"
    title_zh = "分类"
    title_en = "Classification"

    def ask(self, question: Question, language: Language = "zh") -> Turn:
        if len(question.options) < 2:
            raise ValueError("classification needs at least two options (--labels 正常,肺炎)")
        # The options' script decides, so that an option set is asked in the form in which it was taught.
        language = "en" if all(o.isascii() for o in question.options) else "zh"
        asked = question.question or DEFAULT_QUESTION[language]
        if language == "en":
            listed = " Options: " + ", ".join(question.options)
        else:
            listed = "可选：" + "、".join(question.options)
        return user(*(image(v) for v in question.volumes), text(f"{asked}{listed}"))

    def conversations(self, case: Case, language: Language = "zh") -> Iterator[Conversation]:
        volumes = {s.study_uid: tuple(x.volume for x in s.series) for s in case.studies}
        for n, qa in enumerate(q for q in case.questions if q.choices):
            asked = Question(
                question=qa.question or None,
                volumes=volumes.get(qa.study_uid or "", ()),
                options=qa.choices,
            )
            yield Conversation(
                conversation_id=f"{self.name}/{case.case_id}/{n}",
                task=self.name,
                language=language,
                case_id=case.case_id,
                patient_key=case.patient.patient_key,
                turns=(self.ask(asked, language), assistant(qa.answer)),
                diseases=case.diagnoses,
                options=qa.choices,
            )


TASK = Classification()
