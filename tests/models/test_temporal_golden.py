"""PDAN and MS-TCT against outputs of the reference implementations, under the same made-up weights.

`temporal.npz` holds every 4th class of what the reference gave, and the names and shapes of its weights.
"""

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from models.mstct import MSTCT, MSTCTConfig
from models.mstct import from_reference as from_mstct
from models.pdan import PDAN, PDANConfig
from models.pdan import from_reference as from_pdan

D, K = 1024, 157
CLASSES = slice(None, None, 4)


@pytest.fixture(scope="module")
def filler(golden: Path) -> ModuleType:
    """The rule by which reference weights are made."""
    spec = importlib.util.spec_from_file_location("filler", golden / "filler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference(golden: Path) -> Mapping[str, np.ndarray]:
    with np.load(golden / "temporal.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def filled(reference: Mapping[str, np.ndarray], name: str, filler: ModuleType) -> dict[str, Tensor]:
    """Weights by the reference's names."""
    names, shapes = reference[f"{name}_keys"].tolist(), reference[f"{name}_shapes"].tolist()
    return filler.filled_state_dict(dict(zip(names, map(ast.literal_eval, shapes), strict=True)))


def assert_equal(found: Tensor, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def pdan(reference: Mapping[str, np.ndarray], filler: ModuleType) -> PDAN:
    model = PDAN(D, K, PDANConfig(standardise=False))
    model.load_state_dict(from_pdan(filled(reference, "pdan", filler)))
    return model.eval()


@pytest.fixture(scope="module")
def pdan_input(reference: Mapping[str, np.ndarray], filler: ModuleType) -> tuple[Tensor, Tensor]:
    lengths = torch.from_numpy(reference["pdan_mask_lengths"])
    mask_BT = (torch.arange(37) < lengths[:, None]).float()
    return filler.filled_input(7, (2, D, 37)).transpose(1, 2) * mask_BT.unsqueeze(-1), mask_BT


def test_pdan_equals_the_reference(
    pdan: PDAN, pdan_input: tuple[Tensor, Tensor], reference: Mapping[str, np.ndarray]
) -> None:
    with torch.inference_mode():
        logits_BTK = pdan(*pdan_input)
    assert_equal(logits_BTK[0].T[CLASSES], reference["pdan_logits"][0])


def test_pdan_differs_from_the_reference_in_the_padding_of_the_first_layer_alone(
    pdan: PDAN, pdan_input: tuple[Tensor, Tensor], reference: Mapping[str, np.ndarray]
) -> None:
    """There, the first layer sees the bias of the embedding in padded steps; given that, all is equal."""
    x_BTD, mask_BT = pdan_input
    with torch.inference_mode():
        h_BCT = pdan.embed(x_BTD.transpose(1, 2))
        for block in pdan.blocks:
            h_BCT = block(h_BCT) * mask_BT.unsqueeze(1)
        logits_BKT = pdan.head(h_BCT) * mask_BT.unsqueeze(1)
    assert_equal(logits_BKT[:, CLASSES], reference["pdan_logits"])


def test_mstct_equals_the_reference(reference: Mapping[str, np.ndarray], filler: ModuleType) -> None:
    model = MSTCT(D, K, MSTCTConfig(standardise=False)).eval()
    model.load_state_dict(from_mstct(filled(reference, "mstct", filler)))
    x_BTD, mask_BT = filler.filled_input(8, (2, D, 256)).transpose(1, 2), torch.ones(2, 256)
    with torch.inference_mode():
        levels = model._levels(x_BTD, mask_BT)
        logits_BTK = model.classify(model._fused(levels, mask_BT))
        heatmap_BTK = model._heatmap(levels, mask_BT)
    assert_equal(logits_BTK[:, ::8, CLASSES], reference["mstct_logits"])
    assert_equal(heatmap_BTK[:, ::8, CLASSES].transpose(1, 2), reference["mstct_heatmap"])
