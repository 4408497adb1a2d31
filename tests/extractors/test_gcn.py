"""Graph networks against outputs of the reference implementation, and what they promise."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from extractors.gcn import (
    EDGES,
    JOINTS,
    GraphConvNet,
    GraphNetwork,
    GraphSize,
    build_graph_network,
    spatial_graph,
)

NETWORKS: tuple[GraphNetwork, ...] = ("aagcn", "stgcn++")
SMALL = GraphSize(8, (2, 1))
PREFIX = {"aagcn": "aagcn", "stgcn++": "stgcnpp"}


@pytest.fixture(scope="module")
def filler(golden: Path) -> ModuleType:
    """The rule by which reference weights are made."""
    spec = importlib.util.spec_from_file_location("filler", golden / "filler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(request: pytest.FixtureRequest) -> GraphConvNet:
    """A narrow network whose batch norms have seen something."""
    network = build_graph_network(request.param, SMALL)
    network(torch.randn(4, 2, 12, JOINTS, 3))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_reference(name: GraphNetwork, golden: Path, filler: ModuleType) -> None:
    network = build_graph_network(name, GraphSize()).eval()
    prefix = PREFIX[name]
    with np.load(golden / "gcn.npz", allow_pickle=False) as reference:
        keys, shapes = reference[f"{prefix}_keys"].tolist(), reference[f"{prefix}_shapes"].tolist()
        kept = set(reference[f"{prefix}_kept"].tolist())
        wanted_map, wanted_feature = reference[f"{prefix}_map"], reference[f"{prefix}_feature"]
    state = network.state_dict()
    assert {key: str(tuple(value.shape)) for key, value in state.items()} == dict(
        zip(keys, shapes, strict=True)
    )
    filled = filler.filled_state_dict({key: value for key, value in state.items() if key not in kept})
    network.load_state_dict({key: state[key] for key in kept} | filled)
    x = filler.filled_input(21, (1, 2, 48, JOINTS, 3))
    with torch.inference_mode():
        found_map = network.features_map(x)[0].mean(-1).numpy()
        feature = network(x)[0].numpy()
    for found, wanted in ((found_map, wanted_map), (feature, wanted_feature)):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_graph_is_a_tree_rooted_at_the_nose() -> None:
    parent = dict(EDGES)
    assert sorted(parent) == list(range(1, JOINTS))
    for joint in range(1, JOINTS):
        steps = 0
        while joint:
            joint, steps = parent[joint], steps + 1
            assert steps < JOINTS
    itself, inward, outward = spatial_graph()
    assert torch.equal(itself, torch.eye(JOINTS))
    for directed in (inward, outward):
        ways_in = directed.sum(0)
        assert set(ways_in.tolist()) <= {0.0, 1.0}
    assert inward[0, 5] == 1  # the shoulder's only parent
    assert outward[5, 0] == outward[1, 0] == 0.25  # the nose has four children
    assert torch.equal(inward > 0, outward.T > 0)


@pytest.mark.parametrize("small", NETWORKS, indirect=True)
@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17])
def test_any_length(small: GraphConvNet, frames: int) -> None:
    x = torch.randn(3, 2, frames, JOINTS, 3)
    assert small.features_map(x).shape == (3, 2, 16, -(-frames // 2), JOINTS)
    feature = small(x)
    assert feature.shape == (3, small.dim) == (3, 16)
    assert feature.isfinite().all()
    torch.testing.assert_close(feature[:1], small(x[:1]), rtol=1e-5, atol=1e-6)


def test_persons_are_interchangeable_without_statistics_of_their_own() -> None:
    network = build_graph_network("stgcn++", SMALL).eval()
    x = torch.randn(2, 3, 9, JOINTS, 3)
    torch.testing.assert_close(network(x), network(x.flip(1)), rtol=1e-5, atol=1e-6)


def test_adaptive_network_knows_its_number_of_persons() -> None:
    with pytest.raises(ValueError, match="built for 2 persons"):
        build_graph_network("aagcn", SMALL, persons=2)(torch.randn(1, 3, 8, JOINTS, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_gradient(name: GraphNetwork) -> None:
    """But the embeddings of AAGCN: the graph they make has weight 0 (alpha) before training."""
    network = build_graph_network(name, SMALL)
    network(torch.randn(4, 2, 12, JOINTS, 3)).square().sum().backward()
    for key, parameter in network.named_parameters():
        if ".conv_a." in key or ".conv_b." in key:
            continue
        assert parameter.grad is not None, key
        # a bias before batch norm, and all before an attention that starts at zero, gets none
        if not key.endswith("bias") and ".fc1c." not in key:
            assert (parameter.grad != 0).any(), key


def test_embeddings_learn_once_their_graph_counts() -> None:
    network = build_graph_network("aagcn", SMALL)
    for key, parameter in network.named_parameters():
        if key.endswith("alpha"):
            torch.nn.init.ones_(parameter)
    network(torch.randn(4, 2, 12, JOINTS, 3)).square().sum().backward()
    for key, parameter in network.named_parameters():
        if key.endswith("weight") and (".conv_a." in key or ".conv_b." in key):
            assert parameter.grad is not None
            assert (parameter.grad != 0).any(), key


def test_unknown_names_and_sizes() -> None:
    with pytest.raises(ValueError, match="gcn2"):
        build_graph_network("gcn2", GraphSize())  # type: ignore[arg-type]
    for bad in ({"base": 4}, {"blocks": ()}, {"blocks": (2, 0)}):
        with pytest.raises(ValueError, match="base >= 8"):
            GraphSize(**bad)
    assert (GraphSize().dim, GraphSize(32, (2, 2, 2)).dim, GraphSize(24, (1,)).dim) == (256, 128, 24)
