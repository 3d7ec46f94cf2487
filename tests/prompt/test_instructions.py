import pytest

from sadari.prompt import candidate_instructions
from sadari.prompt.instructions import grounded_instruction


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("kind", ["label", "grounded", "free"])
def test_every_candidate_holds_the_goal_and_the_first_is_the_goal_alone(language: str, kind: str) -> None:
    found = candidate_instructions("GOAL", language, kind)
    assert found[0].text == "GOAL"
    assert all("GOAL" in c.text for c in found)
    assert len({c.text for c in found}) == len({c.name for c in found}) == 3


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_grounded_instruction_says_word_for_word_what_abstaining_is(language: str) -> None:
    assert '"모르겠습니다."' in grounded_instruction("GOAL", language, "모르겠습니다.").text
