"""What a notebook shows of a Segmenter, and of any table of facts."""

from __future__ import annotations

from toy import toy_segmenter

from vos_zoo.system.notebook import MOST_LETTERS, as_table


def test_facts_are_escaped_cut_and_left_out_where_empty() -> None:
    shown = as_table("<b>", {"a": "<script>", "b": None, "c": [], "d": {}, "e": 1_500_000, "f": True, "g": [1, {"x": 2}], "h": "y" * 900})
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "<caption>&lt;b&gt;</caption>" in shown
    assert shown.count("<tr>") == 5 and "1,500,000" in shown and "<td>True</td>" in shown and "<td>1; x: 2</td>" in shown
    assert "y" * (MOST_LETTERS - 3) + "...<" in shown


def test_a_segmenter_is_a_table_of_what_it_is() -> None:
    segmenter = toy_segmenter()
    shown = segmenter._repr_html_()
    assert shown.startswith("<table><caption>Segmenter ") and segmenter.config.name in shown and "<td>cpu</td>" in shown
