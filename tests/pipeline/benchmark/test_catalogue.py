"""The frozen tables: sources, presets, protocols, and counts of the real annotation files."""

from pathlib import Path

import pytest

from pipeline.benchmark.catalogue import BENCHMARKS, Counts
from pipeline.benchmark.options import Options
from pipeline.benchmark.published import Figure
from pipeline.benchmark.rows import standard_rows
from pipeline.datasets import load_annotations
from pipeline.protocols import PROTOCOLS

PUBLISHED = [name for name, data in BENCHMARKS.items() if data.counts]
FILES = {
    "charades": "charades/charades.json",
    "multithumos": "multithumos/multithumos.json",
    "pku-mmd-cs": "pku_mmd/cross-subject.txt",
    "pku-mmd-cv": "pku_mmd/cross-view.txt",
    "tsu-cs": "tsu/smarthome_CS_51.json",
    "tsu-cv": "tsu/smarthome_CV_51.json",
    "thumos14": "thumos14/thumos14.json",
}


def test_every_published_data_set_has_a_file_to_be_tested_on():
    assert FILES.keys() == set(PUBLISHED)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_settings_are_a_complete_recipe(name):
    config = Options(name=name, out=Path("out")).settings()
    assert config.preset == BENCHMARKS[name].preset
    assert config.teachers == BENCHMARKS[name].teachers


@pytest.mark.parametrize("name", BENCHMARKS)
def test_protocols_exist_and_the_figures_are_by_one_of_them(name):
    data = BENCHMARKS[name]
    assert data.protocols
    assert set(data.protocols) <= PROTOCOLS.keys()
    assert {figure.protocol for figure in data.figures} <= set(data.protocols)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_figure_has_a_source_with_a_year_and_stands_beside_a_row_there_is(name):
    data = BENCHMARKS[name]
    config = Options(name=name, out=Path("out")).settings()
    rows = standard_rows(config.teachers, config.distillation)
    assert data.figures
    for figure in data.figures:
        assert any(str(year) in figure.source for year in range(2018, 2027)), figure
        assert figure.row is None or figure.row in rows


def test_the_figures_are_those_published():
    texts = {
        name: {f.method: f.text() for f in BENCHMARKS[name].figures if f.value is not None}
        for name in PUBLISHED
    }
    assert texts["charades"]["PDAN"] == "23.7"
    assert texts["multithumos"]["Augmented-RGB"] == "44.6"
    assert texts["tsu-cs"]["Augmented-RGB"] == "32.8"
    assert texts["tsu-cv"]["Augmented-RGB"] == "24.6"
    gains = {f.row: f.gain for f in BENCHMARKS["pku-mmd-cs"].figures}
    assert gains == {"augmented": 5.9, "atomic": 3.1, "global": 4.1, "boundary": 3.5}


def test_a_figure_without_a_source_is_refused():
    with pytest.raises(ValueError, match="has a source"):
        Figure(method="m", inputs="RGB", protocol="frame_map/all", source="", value=1.0)
    with pytest.raises(ValueError, match="a value or a gain"):
        Figure(method="m", inputs="RGB", protocol="frame_map/all", source="s", value=1.0, gain=1.0)


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_of_the_real_files(shared, name):
    annotations = load_annotations(shared / "data" / "annotations" / FILES[name])
    assert annotations.dataset == BENCHMARKS[name].dataset
    assert Counts.of(annotations) == BENCHMARKS[name].counts


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_data_set_has_a_page_with_its_command(name):
    page = (Path(__file__).parents[3] / "benchmarks" / f"{name}.md").read_text()
    assert f"augrgb benchmark {name} " in page
    for figure in BENCHMARKS[name].figures:
        assert figure.source.split(":")[0] in page
        assert figure.text().removeprefix("vanilla ") in page
