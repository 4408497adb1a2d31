"""The library face: functions that no import takes away."""

import importlib.util

import pytest

import pipeline


@pytest.mark.parametrize("name", pipeline.__all__)
def test_no_module_has_the_name_of_a_function(name) -> None:
    """Importing pipeline.x puts the module in the place of a function x."""
    assert callable(getattr(pipeline, name))
    assert importlib.util.find_spec(f"pipeline.{name}") is None
