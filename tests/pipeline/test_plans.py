"""Any list of models can be trained: what each sees, who teaches it how, and what makes it train anew."""

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from models import METHODS
from models.distillation import DistillationConfig
from pipeline.checkpoint import Checkpoint
from pipeline.config import RunConfig, load_config
from pipeline.examples import Teachers, make_examples
from pipeline.inputs import UsageError
from pipeline.job import Job
from pipeline.labels import Annotations, Interval, VideoLabels, match_videos
from pipeline.lineup import Lineup
from pipeline.plans import ModelPlan, all_inputs, check_plans, run_plans
from pipeline.progress import Progress
from pipeline.scoring import Scorer, score_tracks
from pipeline.splits import Split
from pipeline.task import Task
from pipeline.timeline import Clock
from pipeline.track_set import TrackSet
from pipeline.tracks import FeatureTrack
from pipeline.training import train_models

CPU = torch.device("cpu")
CLASSES = ("jump", "wave")
VIDEOS = tuple(f"{i}.mp4" for i in range(8))
DIMS = {"rgb": 5, "flow": 4}
TERMS = {
    "augmented": {"atomic_flow", "global_flow", "boundary_flow"},
    "hinton": {"hinton_flow"},
    "mars": {"mars_flow"},
    "crd": {"crd_flow"},
    "graph": {"graph_logits_flow", "graph_features_flow"},
    "ensemble": {"hinton_ensemble"},
}
VANILLA, TEACHER = ModelPlan("vanilla", ("rgb",)), ModelPlan("teacher-flow", ("flow",))


def student(name: str = "student", **settings: object) -> ModelPlan:
    return ModelPlan(name, ("rgb",), ("teacher-flow",), **settings)  # type: ignore[arg-type]


def track(modality: str, video: str) -> tuple[FeatureTrack, str]:
    """A step a second, 12 of them and more; the first feature is high in every other pair of steps."""
    index = VIDEOS.index(video)
    rng, steps = np.random.default_rng([DIMS[modality], index]), 12 + index
    data = rng.normal(size=(steps, DIMS[modality])).astype(np.float32)
    data[:, 0] += 3 * (np.arange(steps) // 2 % 2)
    found = FeatureTrack(data, np.arange(steps) + 0.5, Clock.constant(steps * 5, Fraction(5)))
    return found, hashlib.sha256(data.tobytes()).hexdigest()


@pytest.fixture
def tracks() -> TrackSet:
    """RGB of every video, flow of all but the second."""
    found = {m: {v: track(m, v) for v in VIDEOS if (m, v) != ("flow", "1.mp4")} for m in DIMS}
    return TrackSet(found, {name: {"name": name} for name in DIMS})


@pytest.fixture
def task(tmp_path) -> Task:
    """Five videos to train on, one to choose by, one to judge by, one without labels."""
    intervals = (Interval(2, 4, "jump"), Interval(6, 8, "wave"), Interval(10, 12, "jump"))
    labels = tuple(VideoLabels(video, "training", intervals) for video in VIDEOS[:7])
    match = match_videos(Annotations(labels, CLASSES, tmp_path / "labels.csv", "0" * 64), VIDEOS)
    split = Split(VIDEOS[:5], VIDEOS[5:6], VIDEOS[6:7], VIDEOS[7:], seed=0, drawn=False)
    return Task(CLASSES, match, split, dict.fromkeys(VIDEOS[:7], intervals))


@pytest.fixture
def config() -> RunConfig:
    settings = [
        "tcn.hidden=6",
        "tcn.layers=1",
        "train.epochs=3",
        "train.batch_videos=3",
        "distillation.dim=4",
    ]
    return load_config("tiny", overrides=settings)


@pytest.fixture
def job(tmp_path, config) -> Job:
    return Job(tmp_path / "out", (), config, CPU, Progress(quiet=True))


# --- plans ----------------------------------------------------------------------------------------


def test_a_run_trains_vanilla_teachers_and_the_student() -> None:
    config = load_config("tiny", overrides=["teachers=[flow, skeleton]", "method=crd"])
    plans = run_plans(config)
    assert [plan.name for plan in plans] == ["vanilla", "teacher-flow", "teacher-skeleton", "student"]
    assert [plan.inputs for plan in plans] == [("rgb",), ("flow",), ("skeleton",), ("rgb",)]
    assert plans[-1].teachers == ("teacher-flow", "teacher-skeleton")
    assert plans[-1].subjects == {"flow": "teacher-flow", "skeleton": "teacher-skeleton"}
    assert plans[-1].method == "crd"
    assert all_inputs(plans) == ("rgb", "flow", "skeleton")
    assert [plan.name for plan in run_plans(load_config("tiny"))] == ["vanilla"]
    assert load_config("tiny").method == "augmented"


def test_what_a_plan_says_counts_for_more_than_the_run(config) -> None:
    run = replace(config, method="mars", distill_unlabelled=True)
    assert VANILLA.settings(run) == run
    found = student().settings(run)
    assert found == replace(run, method="augmented")
    alone = DistillationConfig(atomic=2.0)
    found = student(method="crd", distillation=alone, unlabelled=False).settings(run)
    assert found == replace(run, method="crd", distillation=alone, distill_unlabelled=False)


def test_a_list_of_models_has_to_make_sense() -> None:
    check_plans([VANILLA, TEACHER, student()])
    with pytest.raises(ValueError, match=r"student: its teachers teacher-flow have to be trained before it"):
        check_plans([student(), TEACHER])
    with pytest.raises(ValueError, match="two models are called 'vanilla'"):
        check_plans([VANILLA, VANILLA])
    with pytest.raises(ValueError, match=r"letters, digits.*'\.\./x'"):
        ModelPlan("../x", ("rgb",))
    with pytest.raises(ValueError, match="needs inputs, each once"):
        ModelPlan("x", ("rgb", "rgb"))
    with pytest.raises(ValueError, match="unknown method 'fitnet'; there is: augmented"):
        student(method="fitnet")
    with pytest.raises(ValueError, match="two teachers of one name"):
        ModelPlan("x", ("rgb",), ("flow", "teacher-flow"))


# --- features -------------------------------------------------------------------------------------


def test_joined_features_are_side_by_side(tracks) -> None:
    rgb, flow = tracks.tracks["rgb"]["0.mp4"][0], tracks.tracks["flow"]["0.mp4"][0]
    assert tracks.joined(("rgb",), "0.mp4") is rgb
    both = tracks.joined(("flow", "rgb"), "0.mp4")
    np.testing.assert_array_equal(both.data_TD, np.hstack([flow.data_TD, rgb.data_TD]))
    assert both.clock is flow.clock
    assert tracks.has(("rgb",), "1.mp4")
    assert not tracks.has(("rgb", "flow"), "1.mp4")


def test_features_of_other_steps_are_not_joined(tracks) -> None:
    rgb, data = tracks.tracks["rgb"]["0.mp4"]
    later = FeatureTrack(rgb.data_TD, rgb.center_sec_T + 0.1, rgb.clock)
    fewer = FeatureTrack(rgb.data_TD[1:], rgb.center_sec_T[1:], rgb.clock)
    for other in (later, fewer):
        odd = TrackSet({"rgb": {"0.mp4": (rgb, data)}, "flow": {"0.mp4": (other, data)}}, {})
        with pytest.raises(ValueError, match=r"0.mp4: the 12 steps of rgb .* flow are at other times"):
            odd.joined(("rgb", "flow"), "0.mp4")


# --- training -------------------------------------------------------------------------------------


def test_every_method_teaches_under_its_own_losses(job, task, tracks) -> None:
    plans = [TEACHER, *(student(method, method=method) for method in METHODS)]
    models = train_models(job, task, tracks, plans)
    assert list(models) == ["teacher-flow", *METHODS]
    for method in METHODS:
        model = models[method]
        losses = set(model.history[-1]) - {"epoch", "lr", "train_loss", "val_loss", "val_map"}
        assert losses == TERMS[method]
        assert model.features == {"rgb": {"name": "rgb"}}
        assert model.run_config.method == method
        assert not [
            name for name in model.state if not name.startswith(("embed", "blocks", "head", "standard"))
        ]
        assert (job.out / "checkpoints" / f"{method}.ckpt").is_file()
    assert len({model.key for model in models.values()}) == len(models)
    weights = [torch.cat([x.flatten() for x in model.state.values()]) for model in models.values()][1:]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_the_ensemble_is_one_teacher_with_mean_logits(job, task, tracks) -> None:
    """Of vanilla RGB and flow; a video without flow is taught by vanilla alone."""
    plans = run_plans(replace(job.config, teachers=("flow",), method="ensemble"))
    assert plans[-1].teachers == ("vanilla", "teacher-flow")
    models = train_models(job, task, tracks, plans)
    teachers = Teachers(tracks)
    own = {name: teachers.teach(models[name], VIDEOS) for name in plans[-1].teachers}
    examples = make_examples(task, plans[-1], teachers, models, unlabelled=True).training
    assert [example.video for example in examples] == [*VIDEOS[:5], VIDEOS[7]]
    for example in examples:
        assert set(example.teachers) == {"ensemble"}
        seen = [of[example.video].logits_TK for of in own.values() if example.video in of]
        assert len(seen) == (1 if example.video == "1.mp4" else 2)
        np.testing.assert_allclose(example.teachers["ensemble"].logits_TK, np.mean(seen, 0), rtol=1e-6)


def test_early_concatenation_sees_all_inputs_of_the_videos_that_have_them(job, task, tracks) -> None:
    both = ModelPlan("early-concat", ("rgb", "flow"))
    model = train_models(job, task, tracks, [both])["early-concat"]
    assert model.in_dim == 9
    assert list(model.features) == ["rgb", "flow"]
    used = [v for v in VIDEOS[:5] if v != "1.mp4"]
    steps = np.concatenate([tracks.joined(("rgb", "flow"), v).data_TD for v in used])
    np.testing.assert_allclose(model.state["standardise.mean"], steps.mean(0), rtol=1e-4, atol=1e-6)
    loaded = Checkpoint.load(job.out / "checkpoints" / "early-concat.ckpt")
    scorer = Scorer("early-concat", (loaded,))
    assert scorer.inputs == (("rgb", "flow"),)
    scores = score_tracks(scorer, tracks, ["1.mp4", "6.mp4"], CPU)
    assert list(scores) == ["6.mp4"]
    x = torch.from_numpy(tracks.joined(("rgb", "flow"), "6.mp4").data_TD)[None]
    with torch.inference_mode():
        wanted = model.build()(x, torch.ones(x.shape[:2])).sigmoid()[0]
    # held before the middle of the first step, 0.5 s
    assert scores["6.mp4"].scores_FK.shape == (90, 2)
    np.testing.assert_allclose(scores["6.mp4"].scores_FK[:3], wanted[:1].expand(3, 2), rtol=1e-4)


def test_two_streams_are_the_mean_of_their_logits(job, task, tracks) -> None:
    models = train_models(job, task, tracks, [VANILLA, TEACHER, student()])
    scorers = Lineup(models).scorers
    assert list(scorers) == ["vanilla", "teacher-flow", "two-stream", "student"]
    assert scorers["two-stream"].modalities == ("rgb", "flow")
    first = [
        torch.from_numpy(score_tracks(scorers[name], tracks, ["6.mp4"], CPU)["6.mp4"].scores_FK[0])
        for name in ("vanilla", "teacher-flow", "two-stream")
    ]
    torch.testing.assert_close(
        first[2].logit(), (first[0].logit() + first[1].logit()) / 2, rtol=1e-4, atol=1e-5
    )


def test_only_what_changed_is_trained_again(job, task, tracks, config) -> None:
    plans = [VANILLA, TEACHER, student(), student("hinton", method="hinton")]
    before = {name: model.key for name, model in train_models(job, task, tracks, plans).items()}

    def trained_again(changed: RunConfig) -> set[str]:
        after = train_models(replace(job, config=changed), task, tracks, plans)
        return {name for name, model in after.items() if model.key != before[name]}

    assert job.results[-1].done == 4
    assert trained_again(config) == set()
    assert job.results[-1].cached == 4
    assert trained_again(replace(config, method="mars", work=replace(config.work, save_sec=0))) == set()
    rivals = replace(config.rivals, hinton=replace(config.rivals.hinton, temperature=2.0))
    assert trained_again(replace(config, rivals=rivals)) == {"hinton"}
    assert trained_again(replace(config, distillation=replace(config.distillation, tau=0.1))) == {"student"}
    assert trained_again(replace(config, distill_unlabelled=True)) == {"student", "hinton"}
    assert trained_again(replace(config, seed=1)) == set(before)


def test_a_teacher_trained_anew_has_its_students_trained_anew(job, task, tracks) -> None:
    plans = [TEACHER, student()]
    before = train_models(job, task, tracks, plans)
    fewer = replace(task, split=replace(task.split, training=VIDEOS[:4]))
    assert train_models(job, fewer, tracks, plans)["student"].key != before["student"].key


def test_a_teacher_takes_the_steps_of_its_student(job, task, tracks) -> None:
    longer = {**tracks.tracks["flow"], "2.mp4": track("flow", "3.mp4")}
    odd = TrackSet({**tracks.tracks, "flow": longer}, tracks.identities)
    with pytest.raises(ValueError, match=r"2\.mp4: features, targets and teachers have \[14, 15\] steps"):
        train_models(job, task, odd, [TEACHER, student()])


@pytest.mark.parametrize("method", METHODS)
def test_videos_without_labels_join_where_the_plan_says_so(job, task, tracks, method) -> None:
    """With them the student sees another video; its labelled ones are the same."""
    plans = [TEACHER, *(student(str(i), method=method, unlabelled=bool(i)) for i in range(2))]
    models = train_models(job, task, tracks, plans)
    assert models["0"].key != models["1"].key
    assert not torch.equal(models["0"].state["head.weight"], models["1"].state["head.weight"])
    steps = [np.concatenate([tracks.joined(("rgb",), v).data_TD for v in VIDEOS[:5]])]
    np.testing.assert_allclose(models["0"].state["standardise.mean"], steps[0].mean(0), rtol=1e-4, atol=1e-6)
    steps.append(tracks.joined(("rgb",), "7.mp4").data_TD)
    mean = np.concatenate(steps).mean(0)
    np.testing.assert_allclose(models["1"].state["standardise.mean"], mean, rtol=1e-4, atol=1e-6)


def test_hintons_term_beside_the_three(job, task, tracks, config) -> None:
    with_logits = replace(config.distillation, logits=1.0, logits_temperature=2.0)
    plans = [TEACHER, student(), student("both", distillation=with_logits)]
    models = train_models(job, task, tracks, plans)
    assert set(models["both"].history[0]) - set(models["student"].history[0]) == {"logits_flow"}
    assert models["both"].run_config.distillation == with_logits


def test_without_features_there_is_nothing_to_train_on(job, task, tracks) -> None:
    none = TrackSet({"rgb": {}, "flow": tracks.tracks["flow"]}, tracks.identities)
    with pytest.raises(
        UsageError, match=r"nothing to train early on: of 5 labelled .* rgb and flow features"
    ):
        train_models(job, task, none, [ModelPlan("early", ("rgb", "flow"))])
