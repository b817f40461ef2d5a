"""A free question about a case, with its images when the question names a study.

<image> 心影是否增大？ -> 心影未见增大。
"""

from collections.abc import Iterator

from p2med.schema.case import Case
from p2med.schema.conversation import Conversation, Turn, image, text
from p2med.tasks.base import Language, Question, Task, assistant, user


class QuestionAnswering(Task):
    name = "question_answering"
    title_zh = "问答"
    title_en = "Question answering"

    def ask(self, question: Question, language: Language = "zh") -> Turn:
        if not question.question:
            raise ValueError("question_answering needs a question")
        return user(*(image(v) for v in question.volumes), text(question.question))

    def conversations(self, case: Case, language: Language = "zh") -> Iterator[Conversation]:
        volumes = {s.study_uid: tuple(x.volume for x in s.series) for s in case.studies}
        for n, qa in enumerate(q for q in case.questions if not q.choices):
            asked = Question(question=qa.question, volumes=volumes.get(qa.study_uid or "", ()))
            yield Conversation(
                conversation_id=f"{self.name}/{case.case_id}/{n}",
                task=self.name,
                language=language,
                case_id=case.case_id,
                patient_key=case.patient.patient_key,
                turns=(self.ask(asked, language), assistant(qa.answer)),
                diseases=case.diagnoses,
            )


TASK = QuestionAnswering()
