"""The documentation is in plain English: words and phrases that were rewritten do not come back."""

import re
from pathlib import Path

import pytest

from local.places import PROJECT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/decisions/*.md", ".env.example")
    for path in PROJECT.glob(pattern)
)

BANNED = {
    # words that nobody in the field uses so
    r"untold": "unreported",
    r"told": "reported",
    r"tells? (?:of|that|nothing|how|which|all|its)": "reports, says",
    r"booked|bookings?": "attributed, attribution",
    r"needs? an eye": "needs attention",
    r"whoever|of whom": "name who it is: the worker, a user, an operator",
    r"who knows better": "better knowledge",
    r"for want of": "because there is no",
    r"thrown away": "discarded",
    r"(?:is|was|are|be) mended|mending": "fixed",
    r"anew": "again",
    r"passed over:": "Rejected:",
    r"in the place of the three|in place of the three": "instead of three models",
    r"goes and comes": "goes away and comes back",
    # sentences that dropped their subject, or were riddles
    r"does not do\b(?! )|do not do\b(?! )|(?:it|that|will) does as well": "is not valid, works too",
    r"is told by settings": "Settings choose ...",
    r"told apart": "distinguished, depends on",
    r"takes? (?:it )?in a batch": "applies a batch",
    r"is not here, or a bad value": "an unknown name or an invalid value",
    r"patience waited out": "Docker would wait for the full grace period",
    r"no such key while there is none": "absent when no call is running",
    r"without a word there is none": "A call without speech has none.",
    r"under `start` one waits": "`start` keeps a process warm",
    r"the eye on the others": "Ends the calls of lost workers",
    r"\d+ of \d+ parts do not|all parts do": "checks failed, checks passed",
}


def test_all_pages_are_read() -> None:
    names = {path.relative_to(PROJECT).as_posix() for path in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/deploy.md"} <= names
    assert "docs/decisions/outbox.md" in names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_page_has_no_phrase_that_was_rewritten(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())  # a phrase may be on two lines
    found = {
        match[0]: instead
        for phrase, instead in BANNED.items()
        for match in re.finditer(rf"\b(?:{phrase})", text, re.IGNORECASE)
    }
    assert not found, f"write this instead: {found}"


@pytest.mark.parametrize(
    "sentence",
    [
        "a `-` is what no provider tells that way; its cost is untold",
        "Which ones, where and how is told by settings",
        "What a Postgres that answers does not take is told apart by what helps",
        "would be lost, and the patience waited out",
        "One that somebody else has written is left alone. Without a word there is none.",
        "The eye on the others: calls of lost workers are ended.",
        "3 of 6 parts do not",
    ],
)
def test_old_sentences_are_found(sentence: str) -> None:
    assert any(re.search(rf"\b(?:{phrase})", sentence, re.IGNORECASE) for phrase in BANNED)
