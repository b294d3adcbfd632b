"""When a reply is recorded while it is written: at the end of each sentence, in any script.

Each record is an event, so a reply is not recorded at each of the model's pieces. Nor is it
recorded only at its end: a call that is killed keeps what was written until then.
"""

import re
from typing import Final

_LONGEST: Final = 80
"""Characters after which a reply is recorded without the end of a sentence, for lists and for
scripts without punctuation or spaces."""

_END: Final = re.compile(
    # Unicode's Sentence_Terminal characters of scripts in use: Latin, Armenian, Arabic, Indic,
    # Tibetan, Burmese, Ethiopic, Khmer, Mongolian, Chinese and Japanese.
    r"[.!?\u0589\u061f\u06d4\u0700-\u0702\u0964\u0965\u0f0d\u104a\u104b\u1362\u1367\u1368\u17d4"
    r"\u17d5\u1803\u1809\u2026\u203c\u203d\u2047-\u2049\u3002\uff01\uff0e\uff1f\uff61]"
    r"[\"')\]\u00bb\u201d\u2019\u300d\u300f\uff09]*\s*$"
    r"|\n\s*$"
)


class Drafting:
    """The text of one reply as it is written."""

    def __init__(self) -> None:
        self.text = ""
        self._recorded = 0

    def add(self, piece: str) -> bool:
        """Add a piece; return whether the reply is to be recorded now."""
        self.text += piece
        new = self.text[self._recorded :]
        return bool(new.strip()) and (len(new) >= _LONGEST or _END.search(new) is not None)

    def rest(self) -> bool:
        """Return whether any text is not recorded yet."""
        return bool(self.text[self._recorded :].strip())

    def recorded(self) -> None:
        """Note that the current text was recorded."""
        self._recorded = len(self.text)
