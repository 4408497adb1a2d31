"""Both public key layouts of RAFT checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from extractors.flow_config import RAFTConfig
from extractors.raft import FlowNetwork, build_raft
from extractors.raft_checkpoint import load_raft_state
from extractors.weights import load_weights


def princeton_names(keys: list[str]) -> dict[str, str]:
    """torchvision's module names to those of the authors' code, written down from its classes."""
    names = {}
    for theirs, ours in (("fnet", "feature_encoder"), ("cnet", "context_encoder")):
        names |= {f"{ours}.convnormrelu.0": f"{theirs}.conv1", f"{ours}.convnormrelu.1": f"{theirs}.norm1"}
        names[f"{ours}.conv"] = f"{theirs}.conv2"
        for block in (f"layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1)):
            for k in (1, 2, 3):
                names[f"{ours}.{block}.convnormrelu{k}.0"] = f"{theirs}.{block}.conv{k}"
                names[f"{ours}.{block}.convnormrelu{k}.1"] = f"{theirs}.{block}.norm{k}"
                names[f"{ours}.{block}.downsample.{k - 1}"] = f"{theirs}.{block}.downsample.{k - 1}"
    motion = "update_block.motion_encoder"
    for ours, theirs in (("corr1", "c1"), ("corr2", "c2"), ("flow1", "f1"), ("flow2", "f2")):
        names[f"{motion}.conv{ours}.0"] = f"update_block.encoder.conv{theirs}"
    names[f"{motion}.conv.0"] = "update_block.encoder.conv"
    cells = {1: "1", 2: "2"} if any("convgru2" in key for key in keys) else {1: ""}
    for cell, suffix in cells.items():
        for gate in "zrq":
            ours = f"update_block.recurrent_block.convgru{cell}.conv{gate}"
            names[ours] = f"update_block.gru.conv{gate}{suffix}"
    names |= {f"update_block.flow_head.conv{k}": f"update_block.flow_head.conv{k}" for k in (1, 2)}
    names |= {"mask_predictor.convrelu.0": "update_block.mask.0"}
    names |= {"mask_predictor.conv": "update_block.mask.2"}
    return names


def as_princeton(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state as the authors' training script saves it: data-parallel, a shortcut's norm under both names."""
    names = princeton_names(list(state))
    saved = {}
    for key, value in state.items():
        module, _, kind = key.rpartition(".")
        saved[f"module.{names[module]}.{kind}"] = value
        if module.endswith("downsample.1"):
            block = names[module].removesuffix(".downsample.1")
            saved[f"module.{block}.norm3.{kind}"] = value
    return saved


@pytest.mark.parametrize("variant", ["raft_small", "raft_large"])
def test_both_layouts_give_the_same_network(variant):
    torch.manual_seed(1)
    state = build_raft(variant).state_dict()
    for layout, saved in (
        ("torchvision", state),
        ("torchvision", {f"module.{key}": value for key, value in state.items()}),
        ("princeton", as_princeton(state)),
        (
            "princeton",
            {k: v for k, v in as_princeton(state).items() if not k.endswith("num_batches_tracked")},
        ),
    ):
        model = build_raft(variant)
        assert load_raft_state(model, saved, "file") == layout
        loaded = model.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_misfits_are_listed():
    small, large = build_raft("raft_small"), build_raft("raft_large")
    with pytest.raises(ValueError, match=r"w\.pth .*does not fit this RAFT.*and \d+ more"):
        load_raft_state(small, large.state_dict(), "w.pth")
    state = small.state_dict()
    state["update_block.flow_head.conv2.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"conv2.bias has shape \(3,\), expected \(2,\)"):
        load_raft_state(small, state, "w.pth")
    del state["update_block.flow_head.conv2.bias"]
    with pytest.raises(ValueError, match=r"missing update_block\.flow_head\.conv2\.bias"):
        load_raft_state(small, state, "w.pth")


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="no RAFT checkpoint"):
        load_raft_state(build_raft("raft_small"), {"layer1.weight": torch.zeros(1)}, "resnet.pth")


@pytest.mark.shared
def test_the_authors_file_gives_equal_flow_through_both_routes(shared: Path, tmp_path: Path):
    theirs = shared / "data" / "weights" / "raft-small.pth"
    model = build_raft("raft_small")
    assert load_raft_state(model, load_weights(str(theirs)).state, str(theirs)) == "princeton"
    renamed = tmp_path / "torchvision.pth"
    torch.save(model.state_dict(), renamed)
    flows = []
    frames = torch.randint(0, 256, (3, 17, 20, 3)).repeat_interleave(8, 1).repeat_interleave(8, 2).byte()
    for path, layout in ((theirs, "princeton"), (renamed, "torchvision")):
        network = FlowNetwork(
            RAFTConfig(variant="raft_small", weights=str(path), updates=4), torch.device("cpu")
        )
        assert network.layout == layout
        flows.append(network(frames))
    assert flows[0].abs().max() > 1
    assert torch.equal(*flows)
