"""From cells to figures, by hand."""

import pytest

from pipeline.benchmark.columns import beside, curve, headline, notes
from pipeline.benchmark.published import Figure
from pipeline.benchmark.results import summarise
from pipeline.benchmark.rows import Row
from pipeline.benchmark.tables import markdown
from pipeline.plans import ModelPlan

PROTOCOL = "frame_map/all"


def row(name):
    return Row(name, f"what {name} is", (ModelPlan(name, ("rgb",)),), (name,))


def measured(value, draws=(), validation=None):
    """What is measured of a row in one cell."""
    return {
        "protocols": {PROTOCOL: {"value": value, "chance": 0.1, "per_class": {"a": value, "b": None}}},
        "draws": list(draws),
        "validation": None if validation is None else {"value": validation},
    }


ROWS = {"chance": Row("chance", "prevalence"), "vanilla": row("vanilla"), "augmented": row("augmented")}
CELLS = {
    "vanilla": [measured(0.40, [0.3, 0.4, 0.5], 0.55), measured(0.44, [0.4, 0.4, 0.7], 0.45)],
    "augmented": [measured(0.50, [0.4, 0.5, 0.6], 0.52), measured(0.48, [0.5, 0.5, 0.8], 0.60)],
}


def figure(**of):
    return Figure(**{"method": "m", "inputs": "RGB", "protocol": PROTOCOL, "source": "S 2021", **of})


def found(figures=(), rows=ROWS, cells=CELLS):
    return summarise(rows, cells, [PROTOCOL], figures)


def by_name(summary):
    return {one["name"]: one for one in summary["rows"]}


def test_mean_and_deviation_are_over_cells():
    of = by_name(found())["vanilla"]["protocols"][PROTOCOL]
    assert of["mean"] == pytest.approx(0.42)
    assert of["std"] == pytest.approx(0.0282843, abs=1e-6)
    assert of["values"] == [0.40, 0.44]


def test_one_cell_has_no_deviation():
    one = found(cells={name: cells[:1] for name, cells in CELLS.items()})
    assert by_name(one)["vanilla"]["protocols"][PROTOCOL]["std"] is None


def test_an_interval_is_of_the_mean_over_cells_and_a_difference_is_paired():
    rows = by_name(found())
    # draws of the mean: .35 .4 .6 and .45 .5 .7
    assert rows["vanilla"]["interval"] == pytest.approx([0.3525, 0.59])
    assert rows["augmented"]["over_vanilla"]["mean"] == pytest.approx(0.07)
    assert rows["augmented"]["over_vanilla"]["interval"] == pytest.approx([0.1, 0.1])


def test_a_draw_without_a_figure_is_left_out():
    cells = {"vanilla": [measured(0.4, [0.3, None, 0.5])], "augmented": [measured(0.5, [0.4, 0.5, 0.6])]}
    rows = by_name(found(cells=cells))
    assert rows["vanilla"]["interval"] == pytest.approx([0.305, 0.495])
    assert rows["augmented"]["over_vanilla"]["interval"] == pytest.approx([0.1, 0.1])


def test_chance_comes_first_and_has_no_interval():
    first = found()["rows"][0]
    assert (first["name"], first["protocols"][PROTOCOL]["mean"], first["interval"]) == ("chance", 0.1, None)


def test_the_row_is_chosen_on_validation_and_its_test_figure_told_as_it_is():
    assert found()["chosen"] == {
        "row": "augmented",
        "validation": pytest.approx(0.56),
        "test": pytest.approx(0.49),
    }
    worse = {**CELLS, "augmented": [measured(0.9, validation=0.1), measured(0.9, validation=0.2)]}
    assert found(cells=worse)["chosen"]["row"] == "vanilla"  # although the other is better on test videos


def test_without_validation_nothing_is_chosen():
    assert found(cells={name: [measured(0.4)] for name in CELLS})["chosen"] is None


def test_a_published_value_stands_beside_the_row_of_the_same_method():
    (beside_it,) = found([figure(value=44.6, row="augmented")])["published"]
    assert beside_it["ours"] == pytest.approx(49.0)
    assert beside_it["difference"] == pytest.approx(4.4)


def test_a_published_gain_stands_beside_our_gain():
    (beside_it,) = found([figure(gain=5.9, row="augmented")])["published"]
    assert beside_it["ours"] == pytest.approx(7.0)
    assert beside_it["difference"] == pytest.approx(1.1)
    assert beside_it["text"] == "vanilla +5.9"


def test_a_figure_by_a_protocol_that_was_not_asked_for_has_nothing_beside_it():
    (beside_it,) = found([figure(value=1.0, protocol="grid_map/all")])["published"]
    assert (beside_it["ours"], beside_it["difference"], beside_it["our_row"]) == (None, None, None)


def table(figures=(), **more):
    """A whole benchmark.json."""
    about = {
        "benchmark": "folder",
        "title": "videos | of <a> folder",
        "command": "augrgb benchmark folder",
        "classes": ["a", "b"],
        "videos": {"testing": 4, "training": [6], "validation": [2], "unlabelled": [0]},
        "seeds": 2,
        "folds": None,
        "missing": [],
        "remarks": [],
        "not_as_published": [],
        "features": "cache",
        "protocols": [PROTOCOL],
        "device": "cpu",
        "config": {"preset": "tiny", "model": "tcn"},
        "label_curve": [],
    }
    return {**about, **found(figures), **more}


def test_the_headline_has_the_published_figure_and_the_difference():
    header, rows = headline(table([figure(value=44.6, row="augmented")]))
    of = dict(zip(header, rows[2], strict=True))
    assert (of["row"], of["test %"], of["published %"], of["difference"]) == (
        "augmented",
        "49.0",
        "44.6",
        "+4.4",
    )
    assert of["over vanilla"] == "+7.0"
    assert of["validation %"] == "56.0"


def test_columns_in_which_nothing_is_known_are_left_out():
    header, _ = headline(table())
    assert "published %" not in header
    assert "difference" not in header


def test_every_published_figure_is_listed_with_its_source():
    whole = table([figure(value=44.6, row="augmented"), figure(method="other", value=30.0, source="T 2020")])
    header, rows = beside(whole)
    assert [dict(zip(header, row, strict=True))["source"] for row in rows] == ["[1]", "[2]"]
    assert "1. S 2021\n2. T 2020" in markdown(whole)
    assert any("by the protocol that each is given with" in note for note in notes(whole))


def test_names_do_not_break_a_markdown_table():
    rows = {"vanilla": Row("vanilla", "a | b <script>", (ModelPlan("vanilla", ("rgb",)),), ("vanilla",))}
    text = markdown({**table(), **found(rows=rows, cells={"vanilla": CELLS["vanilla"]})})
    assert "a \\| b &lt;script>" in text


def test_missing_videos_are_in_the_table():
    assert "**2 annotated videos are missing**, such as x, y." in markdown(table(missing=["x", "y"]))


def test_a_label_curve_has_a_column_for_each_number():
    tables = [
        {"labelled": n, "draws": 2, "videos": table()["videos"], "rows": found()["rows"][1:]} for n in (1, 4)
    ]
    header, rows = curve(table(label_curve=tables))
    assert header == ["row", "1", "4"]
    assert rows[0] == ["vanilla", "42.0 ± 2.8 (50.0)", "42.0 ± 2.8 (50.0)"]
    assert "the 2 held-out training videos" in markdown(table(label_curve=tables))
