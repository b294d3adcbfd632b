"""Tables in plain text."""

from callrecord.operator.rendering.table import table


def test_columns_are_as_wide_as_their_cells_and_wide_letters_count_twice() -> None:
    assert table(("a", "name"), [("1", "巴黎"), (None, "x\n")], width=100) == [
        "a  name",
        "-  ----",
        "1  巴黎",
        "-  x",
    ]


def test_only_columns_that_may_are_broken_into_lines() -> None:
    lines = table(
        ("id", "said"), [("0123456789", "one two three four five")], width=28, wraps=["said"]
    )
    assert lines[2:] == ["0123456789  one two three", "            four five"]
    # Sixteen columns remain, whatever the terminal has.
    assert table(("id", "said"), [("0123456789", "x" * 20)], width=5, wraps=["said"])[2:] == [
        "0123456789  xxxxxxxxxxxxxxxx",
        "            xxxx",
    ]


def test_the_widest_column_gives_way_first() -> None:
    lines = table(("a", "b"), [("x" * 20, "word " * 30)], width=60, wraps=["a", "b"])
    assert max(map(len, lines)) <= 60
    assert lines[2].startswith("x" * 20 + "  word")
