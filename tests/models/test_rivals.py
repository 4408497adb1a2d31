"""Rivals of the method by hand, and what every way to learn from a teacher promises."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models import METHODS, Method, build_distiller
from models.bank import Snippets
from models.base import Encoded
from models.crd import CRD, CRDConfig, log_normaliser, nce_loss
from models.distillation import DistillationConfig
from models.distiller import Distiller
from models.losses import classification_loss, soft_target_loss
from models.rivals import MARS, Graph, GraphConfig, HintonConfig, MARSConfig, RivalsConfig

B, T, C_STUDENT, C_TEACHER, K = 3, 9, 6, 4, 5
LENGTHS = (9, 5, 0)
Args = tuple[Encoded, Encoded, Tensor, Tensor]


def build(method: Method, student_dim: int = C_STUDENT, teacher_dim: int = C_TEACHER) -> Distiller:
    return build_distiller(
        method,
        student_dim=student_dim,
        teacher_dim=teacher_dim,
        distillation=DistillationConfig(dim=8, logits=0.5),
        rivals=RivalsConfig(crd=CRDConfig(dim=8, bank=50)),
    )


def batch(student_dim: int = C_STUDENT, teacher_dim: int = C_TEACHER) -> Args:
    """Every step has a label, every label is there."""
    mask = (torch.arange(T) < torch.tensor(LENGTHS)[:, None]).float()
    target = torch.eye(K)[torch.arange(B * T).view(B, T) % K]
    student = Encoded(torch.randn(B, T, student_dim), torch.randn(B, T, K))
    return student, Encoded(torch.randn(B, T, teacher_dim), torch.randn(B, T, K)), target, mask


def with_gradients(args: Args) -> list[Tensor]:
    """The student's two tensors and the teacher's, which from now on collect gradients."""
    return [x.requires_grad_() for encoded in args[:2] for x in encoded]


def total(distiller: Distiller, args: Args) -> Tensor:
    return torch.stack([distiller.weights[name] * term for name, term in distiller(*args).items()]).sum()


def started(method: Method, **dims: int) -> Distiller:
    """One that has seen a batch: what has a bank holds something."""
    distiller = build(method, **dims)
    distiller(*batch(**dims))
    return distiller


# --- by hand --------------------------------------------------------------------------------------


def test_hinton_by_hand() -> None:
    """One step, two classes: T^2 times the divergence of the softened probabilities."""
    student, teacher = torch.tensor([[[2.0, -1.0]]]), torch.tensor([[[4.0, 0.0]]])

    def divergence(s: float, t: float) -> float:
        p, q = 1 / (1 + math.exp(-s / 4)), 1 / (1 + math.exp(-t / 4))
        return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))

    loss = soft_target_loss(student, teacher, torch.ones(1, 1), temperature=4.0)
    assert float(loss) == pytest.approx(16 * (divergence(2, 4) + divergence(-1, 0)), rel=1e-4)


def test_hinton_is_least_where_the_logits_are_the_teachers() -> None:
    _, teacher, _, mask = batch()
    logits = teacher.logits_BTK.clone().requires_grad_()
    loss = soft_target_loss(logits, teacher.logits_BTK, mask, temperature=4.0)
    (grad,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(grad, torch.zeros_like(grad))


def test_hintons_gradient_hardly_depends_on_a_high_temperature() -> None:
    """The reason for T^2: towards the difference of the logits / 4."""
    logits, teacher = torch.tensor([[[1.0]]], requires_grad=True), torch.tensor([[[-2.0]]])
    for temperature in (20.0, 100.0):
        loss = soft_target_loss(logits, teacher, torch.ones(1, 1), temperature=temperature)
        (grad,) = torch.autograd.grad(loss, logits)
        assert grad.item() == pytest.approx(3 / 4, rel=1e-2)


def test_soft_targets_that_are_certain_are_labels() -> None:
    _, _, target, mask = batch()
    logits = torch.randn(B, T, K)
    loss = soft_target_loss(logits, (target - 0.5) * 200, mask, temperature=1.0)
    torch.testing.assert_close(loss, classification_loss(logits, target, mask))


def test_mars_by_hand() -> None:
    """Mean over channels and real steps: (1 + 9) / 2 of the first step, 4 / 2 of the second."""
    student = Encoded(torch.tensor([[[1.0, 0.0], [2.0, 2.0], [9.0, 9.0]]]), torch.zeros(1, 3, 1))
    teacher = Encoded(torch.tensor([[[0.0, 3.0], [2.0, 0.0], [0.0, 0.0]]]), torch.zeros(1, 3, 1))
    mars = MARS(2, 2, MARSConfig())
    term = mars(student, teacher, torch.zeros(1, 3, 1), torch.tensor([[1.0, 1.0, 0.0]]))["mars"]
    assert float(term) == pytest.approx((5 + 2) / 2)
    assert mars.weights == {"mars": 50.0}


def test_graph_by_hand() -> None:
    """Features at right angles, then alike but for their length; logits opposite, then at 45 degrees."""
    student = Encoded(torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    teacher = Encoded(torch.tensor([[[0.0, 2.0], [3.0, 3.0]]]), torch.tensor([[[-5.0, 0.0], [2.0, 2.0]]]))
    graph = Graph(2, 2, GraphConfig())
    terms = graph(student, teacher, torch.zeros(1, 2, 2), torch.ones(1, 2))
    assert float(terms["graph_features"]) == pytest.approx((1 + 0) / 2, abs=1e-6)
    assert float(terms["graph_logits"]) == pytest.approx((2 + 1 - math.sqrt(0.5)) / 2, rel=1e-5)
    assert graph.weights == {"graph_logits": 10.0, "graph_features": 1.0}


def test_crd_by_hand() -> None:
    """One anchor, its positive, two held snippets of which one shares its label: N = 1."""
    anchor, positive = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    bank = Snippets(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tau, z = 0.5, 3.0
    pull, push = math.exp(0.6 / tau), math.exp(0.0)
    wanted = -math.log(pull / (pull + z)) - math.log(1 - push / (push + z))
    args = anchor, positive, torch.tensor([[1.0, 0.0]]), bank
    loss = nce_loss(*args, tau=tau, log_z=torch.tensor(math.log(z)))
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    everything = (math.exp(0.0) + math.exp(1 / tau)) / 2
    assert float(log_normaliser(anchor, bank, tau=tau)) == pytest.approx(math.log(everything), rel=1e-5)


def test_crd_without_negatives_is_nothing() -> None:
    """An anchor that shares a label with all that is held, and a bank that is empty."""
    bank = Snippets(F.normalize(torch.randn(4, 3), dim=-1), torch.ones(4, 2))
    anchor = torch.randn(2, 3, requires_grad=True)
    loss = nce_loss(anchor, anchor.detach(), torch.ones(2, 2), bank, tau=0.1, log_z=torch.tensor(0.0))
    loss.backward()
    assert loss.item() == 0
    assert anchor.grad is not None
    assert (anchor.grad == 0).all()
    assert build("crd")(*batch())["crd"].item() == 0


def test_crd_is_lower_with_the_positive_nearer_and_negatives_away() -> None:
    bank = Snippets(torch.eye(3)[1:], torch.eye(3)[1:])
    target, log_z = torch.eye(3)[:1], torch.tensor(0.0)

    def loss(positive: Tensor, anchor: Tensor) -> float:
        return float(nce_loss(anchor, positive, target, bank, tau=0.2, log_z=log_z))

    x, y = torch.eye(3)[:1], torch.eye(3)[1:2]
    assert loss(x, x) < loss(F.normalize(x + y, dim=-1), x) < loss(y, x)
    assert loss(x, x) < loss(x, F.normalize(x + y, dim=-1))


def test_crd_learns_both_embeddings_and_keeps_its_constant() -> None:
    crd = build("crd")
    assert isinstance(crd, CRD)
    assert crd.student.log_z.isnan()
    crd(*batch())
    assert crd.student.log_z.isnan()  # nothing was held to be contrasted with
    crd(*batch())["crd"].backward()
    assert all((p.grad is not None) and (p.grad != 0).any() for p in crd.parameters())
    first = crd.student.log_z.clone(), crd.teacher.log_z.clone()
    crd(*batch())
    assert (crd.student.log_z, crd.teacher.log_z) == first
    assert first[0].isfinite()


def test_crd_takes_its_negatives_from_earlier_batches_of_the_other_side() -> None:
    crd, first, second = build("crd"), batch(), batch()
    assert isinstance(crd, CRD)
    crd(*first)
    real = first[3] > 0
    held = crd.teacher.bank.held(torch.device("cpu"))
    assert held is not None
    torch.testing.assert_close(held.features_MC, crd.teacher.embed(first[1].h_BTC[real]).detach())
    term = crd(*second)["crd"]
    real = second[3] > 0
    sides = [crd.student.embed(second[0].h_BTC[real]), crd.teacher.embed(second[1].h_BTC[real])]
    old = [crd.student.embed(first[0].h_BTC[first[3] > 0]), held.features_MC]
    wanted = torch.tensor(0.0)
    for (anchor, positive), negatives in zip([sides, sides[::-1]], old[::-1], strict=True):
        bank = Snippets(negatives.detach(), held.target_MK)
        log_z = log_normaliser(anchor.detach(), bank, tau=0.07)
        wanted = wanted + nce_loss(anchor, positive, second[2][real], bank, tau=0.07, log_z=log_z)
    torch.testing.assert_close(term, wanted)


def test_the_state_of_crd_goes_on() -> None:
    """A resumed training has the bank and the constant it had."""
    one, other, args = started("crd"), build("crd"), batch()
    one(*batch())
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(*args)["crd"], one(*args)["crd"], rtol=0, atol=0)
    torch.testing.assert_close(other(*args)["crd"], one(*args)["crd"], rtol=0, atol=0)


def test_what_is_only_looked_at_is_not_held() -> None:
    crd, args = started("crd").eval(), batch()
    torch.testing.assert_close(crd(*args)["crd"], crd(*args)["crd"], rtol=0, atol=0)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_terms_have_weights_and_go_to_the_student_alone(method: Method) -> None:
    distiller, args = started(method), batch()
    h, logits, *teacher = with_gradients(args)
    terms = distiller(*args)
    assert set(terms) == set(distiller.weights)
    assert all(term.ndim == 0 and term > 0 for term in terms.values())
    total(distiller, args).backward()
    assert all(x.grad is None for x in teacher)
    seen = {"hinton": [logits], "ensemble": [logits], "mars": [h], "crd": [h]}
    for x in seen.get(method, [h, logits]):
        assert x.grad is not None
        assert (x.grad[args[3] > 0] != 0).any()


@pytest.mark.parametrize("method", METHODS)
def test_padding_changes_nothing(method: Method) -> None:
    distiller, args = started(method).eval(), batch()
    wanted = distiller(*args)

    def pad(x: Tensor) -> Tensor:
        wide = F.pad(x, (0, 0, 0, 4))
        wide[F.pad(args[3], (0, 4)) == 0] = torch.nan
        return wide

    student, teacher = (Encoded(*map(pad, encoded)) for encoded in args[:2])
    padded = student, teacher, pad(args[2]), F.pad(args[3], (0, 4))
    gradients = with_gradients(padded)[:2]
    for name, term in distiller(*padded).items():
        torch.testing.assert_close(term, wanted[name])
    total(distiller, padded).backward()
    for x in gradients:
        if x.grad is not None:
            assert x.grad.isfinite().all()
            assert (x.grad[padded[3] == 0] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_without_any_teacher_nothing_is_learned(method: Method) -> None:
    distiller, (student, teacher, target, mask) = started(method), batch()
    nothing = Encoded(*(torch.full_like(x, torch.nan) for x in teacher))
    args = student, nothing, target, mask * 0
    gradients = with_gradients(args)[:2]
    loss = total(distiller, args)
    loss.backward()
    assert loss.item() == 0
    learned = [p.grad for p in distiller.parameters()] + [x.grad for x in gradients]
    assert all((grad == 0).all() for grad in learned if grad is not None)


@pytest.mark.parametrize("method", METHODS)
def test_features_that_are_zero_have_finite_gradients(method: Method) -> None:
    distiller, (student, teacher, target, mask) = started(method), batch()
    args = Encoded(*(x * 0 for x in student)), teacher, target, mask
    gradients = with_gradients(args)[:2]
    total(distiller, args).backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in gradients)


@pytest.mark.parametrize("method", ["mars", "graph", "augmented"])
def test_widths_are_matched_only_where_they_differ(method: Method) -> None:
    def names(dim: int) -> set[str]:
        return {name for name, _ in build(method, student_dim=dim).named_parameters() if "match" in name}

    assert names(C_STUDENT) == {"match.weight", "match.bias"}
    assert names(C_TEACHER) == set()


def test_features_equal_to_the_teachers_are_what_mars_and_graph_want() -> None:
    student, _, target, mask = batch(4, 4)
    for method in ("mars", "graph"):
        distiller = build(method, student_dim=4)
        assert float(total(distiller, (student, student, target, mask)).detach()) == pytest.approx(
            0, abs=1e-5
        )


@pytest.mark.parametrize("method", METHODS)
def test_sums_are_in_full_precision(method: Method) -> None:
    distiller, args = started(method).eval(), batch()
    wanted = distiller(*args)
    with torch.autocast("cpu", torch.bfloat16):
        terms = distiller(*args)
    for name, term in terms.items():
        torch.testing.assert_close(term, wanted[name], rtol=0, atol=0)


def test_an_unknown_method_is_refused_with_the_list() -> None:
    with pytest.raises(
        ValueError, match="unknown method 'fitnet'; there is: augmented, hinton, mars, crd, graph"
    ):
        build("fitnet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: HintonConfig(temperature=0),
        lambda: HintonConfig(weight=-1),
        lambda: MARSConfig(weight=-1),
        lambda: GraphConfig(logits=-1),
        lambda: replace(CRDConfig(), tau=0.0),
        lambda: CRDConfig(bank=0),
    ],
)
def test_configs_say_what_is_wrong(bad: object) -> None:
    with pytest.raises(ValueError, match=r"need weight|cannot be negative"):
        bad()  # type: ignore[operator]
