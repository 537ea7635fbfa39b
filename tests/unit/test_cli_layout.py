"""Lines that fit a terminal of 80 columns, and lose nothing."""

from hypothesis import given
from hypothesis import strategies as st

from stream.cli.layout import aligned, filled, folded, wrapped

WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=12), min_size=1, max_size=60)


def test_what_does_not_fit_hangs_below():
    assert wrapped("one two three four", 12, "✓ ", "  ") == ["✓ one two", "  three four"]


def test_without_a_terminal_a_line_is_a_line():
    assert wrapped("word " * 100, None, "! ")[0] == "! " + "word " * 100


@given(WORDS, st.integers(20, 80))
def test_lines_fit_and_no_word_is_lost(words, width):
    lines = wrapped(" ".join(words), width, "✓ ", "  ")
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines).split() == ["✓", *words]


def test_a_word_wider_than_the_line_is_not_broken():
    path = "/a/very/long/path/that/nobody/wants/to/see/broken/in/the/middle.toml"
    assert wrapped(f"see {path} there", 40) == ["see", path, "there"]


def test_a_command_is_not_broken():
    lines = wrapped("What was wrong says llm-stream dlq show 3:1042 and nothing else", 40)
    assert lines == ["What was wrong says", "llm-stream dlq show 3:1042 and nothing", "else"]
    assert "llm-stream lag" in wrapped("How far the workers have come: llm-stream lag says", 40)[1]


def test_line_breaks_and_indents_of_the_text_are_kept():
    assert wrapped("first\n  second is too long", 16, "> ", "") == ["> first", "  second is too", "  long"]


def test_pairs_are_broken_only_between_each_other():
    pairs = [("kind", "replay"), ("by", "ops@host"), ("why", "the prompt was fixed"), ("count", "1")]
    assert filled(pairs, 40, "  ") == ["  kind: replay   by: ops@host", "  why: the prompt was fixed   count: 1"]


def test_a_pair_wider_than_a_line_hangs():
    lines = filled([("a", "1"), ("detail", "word " * 12 + "end"), ("b", "2")], 40, "  ")
    assert lines[0] == "  a: 1"
    assert lines[1].startswith("  detail: word")
    assert lines[2].startswith("    word")
    assert lines[-1] == "  b: 2"
    assert max(map(len, lines)) <= 40


def test_numbers_are_aligned_right_and_wide_characters_counted():
    assert aligned([["name", "n"], ["名前", "12"], ["x", "3"]], [False, True]) == ["name   n", "名前  12", "x      3"]


def test_a_row_that_fits_is_left_alone():
    assert folded(["key", "value"], "key  value", 10) == ["key  value"]


def test_the_last_cells_of_a_row_that_is_too_wide_go_below():
    cells = ["kafka.group_id", '"llm"', "$LLM_STREAM__KAFKA__GROUP_ID"]
    line = 'kafka.group_id  "llm"    $LLM_STREAM__KAFKA__GROUP_ID'
    assert folded(cells, line, 40) == ['kafka.group_id  "llm"', "    $LLM_STREAM__KAFKA__GROUP_ID"]


@given(st.lists(st.text("ab ", max_size=30), min_size=1, max_size=4), st.integers(10, 40))
def test_no_cell_is_lost(cells, width):
    [line] = aligned([cells], [False] * len(cells))
    assert "".join(folded(cells, line, width)).replace(" ", "") == "".join(cells).replace(" ", "")
