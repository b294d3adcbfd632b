"""Requests that are counted in tokens: estimated while they run, settled when they end."""

from callrecord.recording.usage.estimate import Answer, Estimator, Size
from callrecord.recording.usage.requests import Request


def estimate(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> None:
    """Note what a request has used by now, as far as can be known without being told."""
    asked, made = estimator.prompt(model, prompt), estimator.answer(model, answered)
    request.change(input_tokens=asked, output_tokens=made, total_tokens=asked + made)
    request.note(estimate=estimator.method(model))


def settle(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> bool:
    """Note what a request has used that is over, and learn from it if it was told.

    Returns:
        Whether it had to be estimated.
    """
    request.change(duration_ms=request.age_ms())
    request.note(open=None)
    if request.told:
        row = request.row
        request.note(estimate=None)
        own_tokens = row.output_tokens - row.reasoning_tokens
        estimator.learn(model, prompt, row.input_tokens, answered, own_tokens)
        return False
    if request.refused:
        request.note(estimate=None)
        request.change(input_tokens=0, output_tokens=0, total_tokens=0, estimated=False)
        return False
    estimate(estimator, model, request, prompt, answered)
    return True
