"""One option set is asked in one form, whatever language the caller names."""

import pytest

from p2med.tasks.base import Question
from p2med.tasks.classification import TASK


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_options_decide_on_the_language_of_the_question(language):
    english = TASK.ask(Question(options=("normal", "pneumonia")), language).text
    chinese = TASK.ask(Question(options=("正常", "肺炎")), language).text
    assert english == "Which class does this child's image belong to? Options: normal, pneumonia"
    assert chinese == "该患儿的影像属于哪一类？可选：正常、肺炎"
