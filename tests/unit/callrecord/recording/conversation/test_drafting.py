"""When a reply that is being written is recorded: at its sentences, in any script."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrecord.recording.conversation.drafting import _LONGEST, Drafting
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply
from tests.waiting import until

SENTENCES = {
    "English": "Once upon a time there was a sea.",
    "Arabic": "ما هي عاصمة فرنسا؟",
    "Urdu": "یہ ایک جملہ ہے۔",  # noqa: RUF001 - its own full stop
    "Hindi": "फ्रांस की राजधानी पेरिस है।",
    "Chinese": "法国的首都是巴黎。",
    "Armenian": "Սա նախադասություն է։",  # noqa: RUF001 - its own letters
    "Amharic": "ይህ ዓረፍተ ነገር ነው።",
    "Khmer": "នេះជាប្រយោគ។",
    "a quotation": "He said: \u201cStop!\u201d ",
    "a list": "- bread\n",
}


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_the_end_of_a_sentence_is_known(sentence: str) -> None:
    drafting = Drafting()
    begin, end = sentence[: len(sentence) // 2], sentence[len(sentence) // 2 :]
    assert not drafting.add(begin)
    assert drafting.add(end)
    drafting.recorded()
    assert not drafting.rest()


def test_a_script_without_marks_is_recorded_all_the_same() -> None:
    thai = "ประเทศไทยมีเมืองหลวงชื่อกรุงเทพมหานครและมีประชากรหลายล้านคน"
    drafting = Drafting()
    recorded = 0
    for letter in thai * 2:
        if drafting.add(letter):
            drafting.recorded()
            recorded += 1
    assert recorded == len(thai) * 2 // _LONGEST


@given(st.lists(st.text(max_size=120)))
def test_no_more_than_a_piece_waits(pieces: list[str]) -> None:
    """Whatever is written: what is not recorded is shorter than the limit, and none is lost."""
    drafting, recorded = Drafting(), ""
    for piece in pieces:
        if drafting.add(piece):
            drafting.recorded()
            recorded = drafting.text
        assert len((drafting.text.removeprefix(recorded)).strip()) < _LONGEST
    assert drafting.text == "".join(pieces)


@pytest.mark.parametrize("sentence", [SENTENCES["Arabic"], SENTENCES["Hindi"], "ก" * _LONGEST])
async def test_a_call_that_is_killed_in_mid_reply_keeps_it(
    outbox: Outbox, talk: Talk, sentence: str
) -> None:
    session = await talk(Reply(sentence, hold=asyncio.Event()))
    speech = session.generate_reply(user_input="Go on.")
    await until(lambda: outbox.said("assistant") == [sentence], what="the draft")
    speech.interrupt(force=True)
    await speech
