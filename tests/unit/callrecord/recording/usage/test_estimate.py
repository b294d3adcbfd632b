"""Estimates of tokens: what was told before decides."""

from hypothesis import given
from hypothesis import strategies as st

from callrecord.recording.usage.estimate import Answer, Estimator, Size

WORDS = ("Well", ",", " that", " is", " quite", " astonishing", ".")
"""Tokens, as a model gives them."""


def answer(*pieces: str) -> Answer:
    """Return what came of an answer in these pieces."""
    came = Answer()
    for piece in pieces:
        came = came.and_also(piece)
    return came


def test_before_anything_is_told_a_token_is_four_characters() -> None:
    estimator = Estimator()
    assert estimator.answer("m", answer("Twelve chars")) == 3
    assert estimator.method("m") == {"method": "characters", "characters_a_token": 4.0}


def test_a_piece_is_one_token_at_least() -> None:
    assert Estimator().answer("m", answer("A", "B", "C")) == 3


def test_nothing_is_nothing() -> None:
    assert Estimator().answer("m", Answer()) == 0


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40), min_size=2, max_size=6))
def test_a_model_that_sends_each_token_is_known_after_one_answer(answers: list[list[str]]) -> None:
    estimator = Estimator()
    *told, cut = answers
    for tokens in told:
        estimator.learn("m", Size(100), 25, answer(*tokens), len(tokens))
    assert estimator.answer("m", answer(*cut)) == len(cut)


def test_a_model_that_gathers_its_tokens_is_measured_by_characters() -> None:
    estimator = Estimator()
    for words in (5, 80, 20):
        text = "word " * words
        estimator.learn("m", Size(100), 25, answer(text), words)
    assert not _by_pieces(estimator)
    assert abs(estimator.answer("m", answer("word " * 40)) - 40) <= 2


def test_a_function_call_tells_nothing_of_pieces() -> None:
    """A plugin gives it whole, however many tokens it had."""
    estimator = Estimator()
    estimator.learn("m", Size(100), 25, answer(*WORDS), len(WORDS))
    call = Answer().and_also("", called=60)
    estimator.learn("m", Size(100), 25, call, 15)
    assert estimator.answer("m", answer(*WORDS)) == len(WORDS)
    assert abs(estimator.answer("m", call) - 15) <= 3


def test_models_are_told_apart() -> None:
    estimator = Estimator()
    estimator.learn("dense", Size(100), 50, answer("x" * 100), 100)
    assert estimator.prompt("dense", Size(100)) == 50
    assert estimator.prompt("other", Size(100)) == 25


@given(st.integers(0, 10_000), st.integers(0, 50))
def test_a_prompt_is_never_nothing(characters: int, messages: int) -> None:
    estimator = Estimator()
    estimator.learn("m", Size(5_000, 20), 1_300, Answer(), 0)
    assert estimator.prompt("m", Size(characters, messages)) >= 1


def _by_pieces(estimator: Estimator) -> bool:
    return estimator.method("m").get("answers_by") == "pieces"
