"""The three distillation terms, against sums worked out by hand and the invariances they promise."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.bank import SnippetBank, Snippets
from models.base import Encoded
from models.distillation import (
    Distillation,
    DistillationConfig,
    atomic_loss,
    boundary_loss,
    global_relations_loss,
)
from models.distiller import Terms
from models.losses import soft_target_loss

B, T, C_STUDENT, C_TEACHER, K = 3, 9, 6, 4, 5
LENGTHS = (9, 5, 1)
TERMS = ("atomic", "global", "boundary")


def gradient(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad


def mask_of(lengths: tuple[int, ...], steps: int = T) -> Tensor:
    return (torch.arange(steps) < torch.tensor(lengths)[:, None]).float()


def batch(width: int = C_STUDENT, teacher_width: int = C_TEACHER) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    student = torch.randn(B, T, width)
    teacher = torch.randn(B, T, teacher_width)
    return student, teacher, (torch.rand(B, T, K) < 0.3).float(), mask_of(LENGTHS)


def both(student: Tensor, teacher: Tensor, *rest: Tensor) -> tuple[Encoded, Encoded, Tensor, Tensor]:
    """What a module is given where logits play no part."""
    target, mask = rest
    return Encoded(student, target * 0), Encoded(teacher, target * 0), target, mask


def run(name: str, student: Tensor, teacher: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    if name == "atomic":
        return atomic_loss(student, teacher, target, mask)
    if name == "global":
        return global_relations_loss(student, teacher, mask)
    return boundary_loss(student, teacher, mask)


# --- Atomic ---------------------------------------------------------------------------------------


def test_atomic_by_hand() -> None:
    """Two snippets at right angles in the teacher, no label in common: one negative each."""
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    student = torch.tensor([[[3.0, 0.0], [1.0, 1.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    tau = 0.5
    first = -math.log(math.exp(1 / tau) / (math.exp(1 / tau) + math.exp(0)))
    second = -math.log(0.5)  # half way between the two
    loss = atomic_loss(student, teacher, target, torch.ones(1, 2), tau=tau)
    assert float(loss) == pytest.approx((first + second) / 2, rel=1e-5)


def test_atomic_leaves_out_snippets_that_share_a_label() -> None:
    student, teacher = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    target = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])  # only 0 and 2 share nothing
    loss = atomic_loss(student, teacher, target, torch.ones(1, 3), tau=0.1)
    s, t = F.normalize(student[0], dim=-1), F.normalize(teacher[0], dim=-1)
    sim = (s @ t.T / 0.1).exp()
    wanted = -torch.log(sim[0, 0] / (sim[0, 0] + sim[0, 2])) - torch.log(sim[2, 2] / (sim[2, 2] + sim[2, 0]))
    assert float(loss) == pytest.approx(float(wanted) / 3, rel=1e-5)  # snippet 1 has no negative: 0


def test_atomic_takes_negatives_from_other_videos() -> None:
    student, teacher = torch.randn(2, 1, 4), torch.randn(2, 1, 4)
    target = torch.eye(2)[:, None]
    together = atomic_loss(student, teacher, target, torch.ones(2, 1))
    side_by_side = atomic_loss(
        student.transpose(0, 1), teacher.transpose(0, 1), target.transpose(0, 1), torch.ones(1, 2)
    )
    torch.testing.assert_close(together, side_by_side)
    assert float(together) > 0


def test_atomic_is_lower_with_the_positive_nearer() -> None:
    teacher, target, mask = torch.eye(4)[None], torch.eye(4)[None], torch.ones(1, 4)
    away = torch.randn(1, 4, 4)
    losses = [
        float(atomic_loss(torch.lerp(away, teacher, share), teacher, target, mask))
        for share in (0.0, 0.5, 0.9)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_atomic_takes_probabilities_as_targets() -> None:
    student, teacher, target, mask = batch(4, 4)
    soft = torch.where(target > 0, 0.5 + 0.5 * torch.rand_like(target), 0.49 * torch.rand_like(target))
    torch.testing.assert_close(
        atomic_loss(student, teacher, soft, mask), atomic_loss(student, teacher, target, mask)
    )


def test_atomic_without_labels_holds_each_snippet_against_all_others() -> None:
    student, teacher = torch.randn(1, 5, 4), torch.randn(1, 5, 4)
    loss = atomic_loss(student, teacher, torch.zeros(1, 5, 2), torch.ones(1, 5), tau=0.2)
    sim = F.normalize(student[0], dim=-1) @ F.normalize(teacher[0], dim=-1).T / 0.2
    torch.testing.assert_close(loss, F.cross_entropy(sim, torch.arange(5)))


def test_atomic_with_fewer_negatives() -> None:
    """10 snippets, at most 4 negatives: every third snippet serves, the positive is always there."""
    student, teacher = torch.randn(1, 10, 4), torch.randn(1, 10, 4)
    loss = atomic_loss(student, teacher, torch.zeros(1, 10, 2), torch.ones(1, 10), tau=0.2, max_negatives=4)
    sim = (F.normalize(student[0], dim=-1) @ F.normalize(teacher[0], dim=-1).T / 0.2).exp()
    wanted = [-torch.log(sim[t, t] / sum(sim[t, n] for n in {t, 0, 3, 6, 9})) for t in range(10)]
    torch.testing.assert_close(loss, torch.stack(wanted).mean())


def test_atomic_takes_negatives_from_the_bank() -> None:
    """Two held snippets, of which the second shares the label of the only snippet there is."""
    student, teacher = torch.randn(1, 1, 4), torch.randn(1, 1, 4)
    bank = Snippets(torch.randn(2, 4), torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    target = torch.tensor([[[1.0, 0.0]]])
    loss = atomic_loss(student, teacher, target, torch.ones(1, 1), tau=0.5, bank=bank)
    s, t, n = (F.normalize(x, dim=-1) for x in (student[0, 0], teacher[0, 0], bank.features_MC[0]))
    wanted = -torch.log((s @ t / 0.5).exp() / ((s @ t / 0.5).exp() + (s @ n / 0.5).exp()))
    torch.testing.assert_close(loss, wanted)


def test_the_bank_holds_the_latest_labelled_snippets() -> None:
    bank = SnippetBank(3)
    assert bank.held(torch.device("cpu")) is None
    steps = torch.arange(6.0)[:, None]
    target = torch.tensor([[1.0], [0.2], [0.6], [0.5], [1.0], [1.0]])
    bank.add(steps[:5], target[:5])  # 1 has no label
    bank.add(steps[:1] + 10, target[:1])
    bank.add(steps + 20, target * 0)
    held = bank.held(torch.device("cpu"))
    assert held is not None
    assert held.features_MC.flatten().tolist() == [3, 4, 10]
    assert held.target_MK.flatten().tolist() == [0.5, 1, 1]


def test_the_bank_is_part_of_the_state() -> None:
    """A resumed training goes on with what was held, whatever its size."""
    first, second = build(bank=8), build(bank=8)
    student, teacher, target, mask = batch()
    args = both(student, teacher, target, mask)
    first(*args)
    second.load_state_dict(first.state_dict())
    for name, term in first(*args).items():
        torch.testing.assert_close(second(*args)[name], term, rtol=0, atol=0)


def test_the_bank_adds_negatives_of_earlier_batches() -> None:
    student, teacher, target, mask = batch()
    target[mask > 0] = torch.eye(K)[torch.arange(int(mask.sum())) % K]
    with_bank, without = build(bank=100), build()
    without.load_state_dict({k: v for k, v in with_bank.state_dict().items() if not k.startswith("bank")})
    args = both(student, teacher, target, mask)
    wanted = without(*args)
    torch.testing.assert_close(with_bank(*args), wanted)  # nothing held yet
    student.requires_grad_()
    teacher.requires_grad_()
    second = with_bank(*both(student, teacher, target, mask))["atomic"]
    assert second > wanted["atomic"]
    second.backward()
    assert teacher.grad is None
    third = with_bank.eval()(*args)["atomic"]
    assert third > second
    assert with_bank(*args)["atomic"] == third  # what is only looked at is not held


# --- Global and Boundary --------------------------------------------------------------------------


def test_global_by_hand() -> None:
    student = torch.tensor([[[1.0, 0.0], [-1.0, 2.0]]])  # covariance [[2, -2], [-2, 2]]
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]])  # [[0, 0], [0, 2]]
    loss = global_relations_loss(student, teacher, torch.ones(1, 2), relations="none")
    assert float(loss) == pytest.approx((4 + 4 + 4 + 0) / 4)


def test_global_correlation_is_that_of_numpy() -> None:
    student, teacher, _, mask = batch(4, 4)
    loss = global_relations_loss(student, teacher, mask, relations="correlation")
    distances = [
        (torch.corrcoef(student[b, :n].T) - torch.corrcoef(teacher[b, :n].T)).square().mean()
        for b, n in enumerate(LENGTHS)
        if n > 1
    ]
    torch.testing.assert_close(loss, torch.stack(distances).mean(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("relations", "same"), [("none", False), ("correlation", True), ("layer-norm", True)]
)
def test_global_and_the_scale_of_the_teacher(relations: str, same: bool) -> None:
    student, teacher, _, mask = batch(4, 4)
    losses = [
        float(global_relations_loss(student, teacher * s, mask, relations=relations))  # type: ignore[arg-type]
        for s in (1, 50)
    ]
    assert (losses[1] == pytest.approx(losses[0], rel=1e-2)) is same


def test_boundary_by_hand() -> None:
    student = torch.tensor([[[0.0, 0.0], [1.0, -3.0], [1.0, -3.0]]])  # saliency 2, 0
    teacher = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [2.0, 4.0]]])  # 1, 2
    mask = torch.ones(1, 3)
    raw = boundary_loss(student, teacher, mask, saliency="raw")
    assert float(raw) == pytest.approx((abs(2 - 1) + abs(0 - 2)) / 2)
    shape = boundary_loss(student, teacher, mask, saliency="zscore")
    assert float(shape) == pytest.approx(2.0, rel=1e-3)  # (1, -1) against (-1, 1)


def test_boundary_shape_ignores_scale() -> None:
    student, teacher, _, mask = batch(4, 4)
    shapes = [float(boundary_loss(student, teacher * s, mask, saliency="zscore")) for s in (1, 50)]
    raw = [float(boundary_loss(student, teacher * s, mask, saliency="raw")) for s in (1, 50)]
    assert shapes[1] == pytest.approx(shapes[0], rel=1e-3)
    assert raw[1] > 10 * raw[0]


@pytest.mark.parametrize("relations", ["none", "correlation", "layer-norm"])
def test_equal_features_have_equal_relations(relations: str) -> None:
    student, _, _, mask = batch()
    loss = global_relations_loss(student, student, mask, relations=relations)  # type: ignore[arg-type]
    assert float(loss) == 0


@pytest.mark.parametrize("saliency", ["zscore", "raw"])
def test_equal_features_have_equal_saliency(saliency: str) -> None:
    student, _, _, mask = batch()
    assert float(boundary_loss(student, student, mask, saliency=saliency)) == 0  # type: ignore[arg-type]


def test_the_order_of_time_is_boundarys_matter_alone() -> None:
    student, teacher = torch.randn(1, T, 4), torch.randn(1, T, 4)
    mask, order = torch.ones(1, T), torch.randperm(T)
    relations = [global_relations_loss(x, teacher, mask) for x in (student, student[:, order])]
    saliency = [boundary_loss(x, teacher, mask) for x in (student, student[:, order])]
    torch.testing.assert_close(relations[0], relations[1], rtol=1e-4, atol=1e-6)
    assert abs(float(saliency[0] - saliency[1])) > 1e-2


# --- all three ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TERMS)
def test_padding_changes_nothing(name: str) -> None:
    student, teacher, target, mask = batch(4, 4)
    loss = run(name, student, teacher, target, mask)
    padded = [F.pad(x, (0, 0, 0, 4)) for x in (student, teacher, target)]
    for x in padded:
        x[F.pad(mask, (0, 4)) == 0] = torch.nan
    padded[0].requires_grad_()
    again = run(name, padded[0], padded[1], padded[2], F.pad(mask, (0, 4)))
    torch.testing.assert_close(again, loss)
    again.backward()
    grad = gradient(padded[0])
    assert grad.isfinite().all()
    assert (grad[F.pad(mask, (0, 4)) == 0] == 0).all()
    assert (grad[:, :5] != 0).any()


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("lengths", [(1, 1, 1), (2, 1, 0), (0, 0, 0)])
def test_short_and_missing_videos_are_finite(name: str, lengths: tuple[int, ...]) -> None:
    student, teacher, target, _ = batch(4, 4)
    student[0, 1] = student[0, 0]  # nothing changes, no channel varies
    student.requires_grad_()
    loss = run(name, student, teacher, target, mask_of(lengths))
    loss.backward()
    assert loss.isfinite()
    assert gradient(student).isfinite().all()
    if lengths == (0, 0, 0) or (max(lengths) == 1 and name != "atomic"):
        assert loss.item() == 0
        assert (gradient(student) == 0).all()


@pytest.mark.parametrize("name", TERMS)
def test_a_single_step_has_nothing_to_compare(name: str) -> None:
    """No pair, no covariance, no other snippet."""
    student, teacher, target, _ = (x[:1, :1] for x in batch(4, 4))
    assert run(name, student, teacher, target, torch.ones(1, 1)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["global", "boundary"])
def test_no_gradient_to_the_teacher(name: str) -> None:
    student, teacher, target, mask = (x.requires_grad_() for x in batch(4, 4))
    run(name, student, teacher, target, mask).backward()
    assert teacher.grad is None
    assert (gradient(student) != 0).any()


def build(student_dim: int = C_STUDENT, teacher_dim: int = C_TEACHER, **settings: object) -> Distillation:
    config = replace(DistillationConfig(dim=8), **settings)  # type: ignore[arg-type]
    return Distillation(student_dim, teacher_dim, config)


def test_module_gives_every_term_and_trains_its_own_parts() -> None:
    distillation = build()
    student, teacher, target, mask = batch()
    student.requires_grad_()
    teacher.requires_grad_()
    terms = distillation(*both(student, teacher, target, mask))
    assert tuple(terms) == tuple(distillation.weights) == TERMS
    torch.stack([distillation.weights[name] * term for name, term in terms.items()]).sum().backward()
    assert teacher.grad is None
    assert (gradient(student)[mask > 0] != 0).any()
    assert all((gradient(p) != 0).any() for p in distillation.parameters())


@pytest.mark.parametrize("off", TERMS)
def test_each_term_can_be_switched_off(off: str) -> None:
    """It is not computed, nothing is learned for it, and the others are what they were."""
    setting = {"atomic": "atomic", "global": "global_relations", "boundary": "boundary"}[off]
    every, fewer = build(), build(**{setting: 0.0})
    state = every.state_dict()
    fewer.load_state_dict({name: state[name] for name in fewer.state_dict()})
    args = both(*batch())
    terms, wanted = fewer(*args), every(*args)
    assert set(terms) == set(fewer.weights) == set(TERMS) - {off}
    for name, term in terms.items():
        torch.testing.assert_close(term, wanted[name], rtol=0, atol=0)


def test_what_is_off_has_nothing_to_learn() -> None:
    assert {name.split(".")[0] for name in build(global_relations=0.0, boundary=0.0).state_dict()} == {
        "student_head",
        "teacher_head",
    }
    assert set(build(atomic=0.0).state_dict()) == {"match.weight", "match.bias"}
    nothing = build(atomic=0.0, global_relations=0.0, boundary=0.0)
    assert nothing(*both(*batch())) == {}
    assert not nothing.state_dict()


@pytest.mark.parametrize("name", TERMS)
def test_no_term_has_a_gradient_for_the_teacher(name: str) -> None:
    student, teacher, target, mask = batch()
    student.requires_grad_()
    teacher.requires_grad_()
    build()(*both(student, teacher, target, mask))[name].backward()
    assert teacher.grad is None
    assert (gradient(student)[mask > 0] != 0).any()


def test_module_needs_no_match_for_equal_widths() -> None:
    distillation = build(4, 4)
    assert not any(name.startswith("match") for name, _ in distillation.named_parameters())
    student, _, target, mask = batch(4, 4)
    terms = distillation(*both(student, student, target, mask))
    assert terms["global"].item() == terms["boundary"].item() == 0
    assert terms["atomic"].item() > 0


def test_module_without_any_teacher() -> None:
    distillation = build()
    student, teacher, target, _ = batch()
    student.requires_grad_()
    terms = distillation(*both(student, torch.full_like(teacher, torch.nan), target, torch.zeros(B, T)))
    assert [term.item() for term in terms.values()] == [0, 0, 0]
    torch.stack(list(terms.values())).sum().backward()
    assert (gradient(student) == 0).all()
    assert all(p.grad is None or (p.grad == 0).all() for p in distillation.parameters())


def test_a_video_without_a_teacher_counts_as_if_it_were_not_there() -> None:
    distillation = build()
    student, teacher, target, mask = batch()
    mask[1] = 0
    terms = distillation(*both(student, teacher, target, mask))
    rest = distillation(*both(*(x[[0, 2]] for x in (student, teacher, target, mask))))
    for name in TERMS:
        torch.testing.assert_close(terms[name], rest[name])


def test_module_sums_in_full_precision() -> None:
    distillation = build()
    student, teacher, target, mask = batch()
    args = both(student, teacher, target, mask)
    wanted = distillation(*args)
    with torch.autocast("cpu", torch.bfloat16):
        terms = distillation(*args)
    for name in TERMS:
        torch.testing.assert_close(terms[name], wanted[name], rtol=0, atol=0)


def test_hintons_term_beside_the_three() -> None:
    """It is that of the logits alone, and leaves the others as they were."""
    student, teacher, target, mask = batch()
    logits, taught = torch.randn(B, T, K, requires_grad=True), torch.randn(B, T, K)
    args = Encoded(student, logits), Encoded(teacher, taught), target, mask
    every, three = build(logits=0.5, logits_temperature=2.0), build()
    every.load_state_dict(three.state_dict())
    terms: Terms = every(*args)
    assert every.weights["logits"] == 0.5
    torch.testing.assert_close(terms["logits"], soft_target_loss(logits, taught, mask, temperature=2.0))
    for name, term in three(*args).items():
        torch.testing.assert_close(terms[name], term, rtol=0, atol=0)
    terms["logits"].backward()
    assert (gradient(logits)[mask > 0] != 0).all()


@pytest.mark.parametrize(
    "bad",
    [
        {"atomic": -1.0},
        {"tau": 0.0},
        {"dim": 0},
        {"max_negatives": 0},
        {"bank": 0},
        {"relations": "cov"},
        {"saliency": ""},
        {"logits": -0.1},
        {"logits_temperature": 0.0},
    ],
)
def test_config_says_what_is_wrong(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(DistillationConfig(), **bad)  # type: ignore[arg-type]
