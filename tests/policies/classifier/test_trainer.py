"""Training a classifier, on problems that it can solve in a moment."""

import copy
from typing import Any

import numpy as np
import pytest
import torch as th
from episodes import classifier, config, random_episodes, same, separable_episodes, weights

from glimpse_envs.core import Sequences
from glimpse_envs.strategies import Grid, Uniform
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier
from policies.classifier.trainer import DivergedError, Fitter, by_glimpse, check_arguments, pretrain

HERE = {"bfloat16": False}


def accuracy(reader: TorchClassifier, episodes: Sequences) -> float:
    """The share that is right after all glimpses."""
    state = reader.start(len(episodes.labels))
    for t in range(episodes.gaze.shape[1]):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
    return float((belief.argmax(1) == episodes.labels).mean())


# ---- one update ----


@pytest.mark.parametrize(
    ("kind", "optimizer"), [*((kind, "muon") for kind in MEMORIES), ("gru", "adamw")]
)
def test_the_loss_falls_and_unseen_episodes_are_classified(kind, optimizer):
    reader = classifier(kind)
    rates = {"learning_rate": 1e-2, "muon_learning_rate": 0.05}
    fitter = Fitter(reader, optimizer=optimizer, label_smoothing=0.0, **rates, **HERE)
    losses = [
        fitter.update(separable_episodes(64, seed=step), scale=1 - step / 100).loss
        for step in range(100)
    ]
    assert losses[0] > 1.0 and np.mean(losses[-5:]) < 0.3 * losses[0]
    assert accuracy(reader, separable_episodes(200, seed=999)) > 0.9


@pytest.mark.parametrize("bfloat16", [False, True])
def test_both_kinds_of_arithmetic_train_float32_weights(bfloat16):
    reader = classifier()
    fitter = Fitter(reader, learning_rate=1e-2, bfloat16=bfloat16)
    assert bfloat16 or not fitter.bfloat16  # true only where the processor has it
    losses = [fitter.update(separable_episodes(64, seed=step)).loss for step in range(20)]
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in reader.parameters()} == {th.float32}


def test_memories_that_are_sooner_in_float32_stay_in_it():
    assert not any(Fitter(classifier(kind)).bfloat16 for kind in ("gru", "lstm", "feedforward"))


@pytest.mark.parametrize("kind", MEMORIES)
def test_an_update_counts_the_prefixes_read_and_those_right(kind):
    episodes = random_episodes(16)  # four each of 1 to 4 glimpses
    fit = Fitter(classifier(kind), early_weight=0.0, **HERE).update(episodes)
    assert fit.read.shape == fit.right.shape == (5,)
    assert fit.read.tolist() == ([0, 4, 4, 4, 4] if kind == "canvas" else [0, 16, 12, 8, 4])
    assert (fit.right <= fit.read).all() and np.isfinite(fit.loss)


def test_the_loss_is_the_weighted_cross_entropy():
    reader, episodes = classifier("gru"), random_episodes(8)
    state, terms = reader.start(8), np.zeros(8)
    for t in range(4):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        share = np.where(episodes.counts == t + 1, 1.0, 0.5 * (episodes.counts > t + 1))
        terms -= share * np.log(belief[np.arange(8), episodes.labels])
    wanted = np.mean(terms / (1.0 + 0.5 * (episodes.counts - 1)))
    fit = Fitter(reader, early_weight=0.5, label_smoothing=0.0, **HERE).update(episodes)
    assert fit.loss == pytest.approx(wanted, rel=1e-4)


def test_smoothed_labels_cost_the_sure():
    reader = classifier("gru")
    with th.no_grad():
        reader.readout.bias[:] = th.tensor([8.0, 0.0, 0.0, 0.0])
    episodes = random_episodes(8)._replace(labels=np.zeros(8, np.int64))
    plain, smooth = (
        Fitter(reader, label_smoothing=s, learning_rate=1e-9, **HERE).update(episodes).loss
        for s in (0.0, 0.2)
    )
    assert plain < 0.1 and smooth > 1.0  # about 0.2 * 3 / 4 * 8


def test_by_default_labels_are_smoothed_and_early_glimpses_count_a_quarter():
    reader, episodes = classifier("gru"), random_episodes(8)
    state, terms = reader.start(8), np.zeros(8)
    for t in range(4):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        target = np.full((8, 4), 0.1 / 4)
        target[np.arange(8), episodes.labels] += 0.9
        share = np.where(episodes.counts == t + 1, 1.0, 0.25 * (episodes.counts > t + 1))
        terms -= share * (target * np.log(belief)).sum(1)
    wanted = np.mean(terms / (1.0 + 0.25 * (episodes.counts - 1)))
    assert Fitter(reader, **HERE).update(episodes).loss == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.2, 5.0])
def test_the_loss_is_that_of_the_readout_whatever_the_temperatures(temperature):
    losses = []
    for t in (1.0, temperature):
        reader = classifier("gru")
        reader.temperatures.fill_(t)
        losses.append(Fitter(reader, **HERE).update(random_episodes(8)).loss)
        assert (reader.temperatures == t).all()
    assert losses[0] == losses[1]


def moved(scale: float, **settings: Any) -> list[float]:
    """How far each weight goes at most in one update."""
    reader = classifier("gru")
    fitter = Fitter(reader, weight_decay=0.0, **settings, **HERE)
    before = [weight.detach().clone() for weight in reader.parameters()]
    fitter.update(random_episodes(8), scale=scale)
    return [
        float((new.detach() - old).abs().max())
        for new, old in zip(reader.parameters(), before, strict=True)
    ]


@pytest.mark.parametrize("scale", [1.0, 0.25, 0.0])
def test_the_scale_multiplies_the_learning_rate(scale):
    adamw = moved(scale, optimizer="adamw", learning_rate=4e-3)
    assert max(adamw) == pytest.approx(4e-3 * scale, rel=0.01)  # Adam's first step is a sign
    whole, part = (moved(s, muon_learning_rate=0.01, learning_rate=1e-9) for s in (1.0, scale))
    np.testing.assert_allclose(part, np.multiply(scale, whole), rtol=1e-2, atol=1e-7)
    assert max(whole) > 1e-3


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_only_matrices_decay(optimizer):
    reader = classifier()
    fitter = Fitter(reader, optimizer=optimizer, weight_decay=0.2, **HERE)
    groups = [
        (part, group["weight_decay"], len(group["params"]))
        for part, state in fitter.optimizer.state_dict().items()
        for group in state["param_groups"]
    ]
    many = [weight.ndim > 1 for weight in reader.parameters()]
    vectors = many.count(False)
    if optimizer == "muon":  # the readout's is AdamW's
        assert groups == [("adamw", 0.2, 1), ("adamw", 0.0, vectors), ("muon", 0.2, sum(many) - 1)]
    else:
        assert groups == [("adamw", 0.2, sum(many)), ("adamw", 0.0, vectors)]


@pytest.mark.parametrize("max_grad_norm", [None, 1e-4])
def test_gradients_are_clipped_where_a_norm_is_given(max_grad_norm, monkeypatch):
    reader, norms = classifier("gru"), []
    fitter = Fitter(reader, max_grad_norm=max_grad_norm, **HERE)
    step = fitter.optimizer.step

    def measure(scale: float) -> None:
        norms.append(float(th.stack([w.grad.norm() for w in reader.parameters()]).norm()))
        step(scale)

    monkeypatch.setattr(fitter.optimizer, "step", measure)
    fitter.update(random_episodes(8))
    if max_grad_norm:
        assert norms == [pytest.approx(1e-4, rel=0.01)]
    else:
        assert norms[0] > 0.01


def test_a_classifier_reads_in_evaluation_mode_before_and_after_an_update():
    reader = classifier()
    assert not any(module.training for module in reader.modules())
    Fitter(reader, **HERE).update(random_episodes(8))
    assert not any(module.training for module in reader.modules())


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_reading_after_an_update_is_that_of_the_new_weights(kind, tmp_path):
    reader, episodes = classifier(kind), random_episodes(6)
    fitter = Fitter(reader, learning_rate=0.05, **HERE)

    def read(of: TorchClassifier) -> np.ndarray:
        return of.update(of.start(6), episodes.glimpses[:, 0], episodes.gaze[:, 0]).belief

    before = read(reader)
    fitter.update(episodes)
    assert not np.allclose(before, read(reader), rtol=1e-3)
    reader.save(tmp_path / "c.pt")
    np.testing.assert_allclose(read(reader), read(TorchClassifier.load(tmp_path / "c.pt")), 1e-6)


# ---- divergence ----


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_loss_that_is_no_number_updates_nothing(kind):
    reader = classifier(kind)
    fitter = Fitter(reader, learning_rate=0.5, **HERE)
    fitter.update(random_episodes(8))
    with th.no_grad():
        reader.readout.weight[0, 0] = float("nan")
    before = [weight.detach().clone() for weight in reader.parameters()]
    state = copy.deepcopy(fitter.optimizer.state_dict())
    message = r"became nan.*smaller.*\(learning_rate, muon_learning_rate\), or bfloat16=false"
    with pytest.raises(DivergedError, match=message):
        fitter.update(random_episodes(8), scale=0.1)
    for weight, old in zip(reader.parameters(), before, strict=True):
        assert th.equal(weight.nan_to_num(7.0), old.nan_to_num(7.0))
    for part, after in fitter.optimizer.state_dict().items():
        for number, moments in after["state"].items():
            for name, moment in moments.items():
                assert th.equal(moment, state[part]["state"][number][name])
    assert not reader.training


def test_a_loss_that_is_no_number_leaves_the_statistics_of_a_canvas_alone():
    reader = classifier("canvas")
    with th.no_grad():
        reader.readout.weight[0, 0] = float("nan")
    before = weights(reader)
    with pytest.raises(DivergedError):
        Fitter(reader, **HERE).update(random_episodes(8))
    assert same(weights(reader), before)


def test_a_gradient_that_is_not_finite_updates_nothing():
    reader = classifier("gru")
    before = weights(reader)
    hook = reader.memory.rnn.weight_hh_l0.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match=r"its gradient's norm (inf|nan)"):
        Fitter(reader, **HERE).update(random_episodes(8))
    assert same(weights(reader), before)
    hook.remove()
    Fitter(reader, **HERE).update(random_episodes(8))  # nothing is left of it
    assert all(np.isfinite(weight).all() for weight in weights(reader))


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"muon_learning_rate": 0.0},
        {"early_weight": -0.1},
        {"early_weight": 1.1},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted a number"):
        Fitter(classifier("gru"), **wrong)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="optimizer='sgd'; wanted one of muon, adamw"):
        Fitter(classifier("gru"), optimizer="sgd")
    with pytest.raises(ValueError, match="optimizer=3; wanted a text"):
        Fitter(classifier("gru"), optimizer=3)
    with pytest.raises(ValueError, match="learning_rate='fast'; wanted a number"):
        Fitter(classifier("gru"), learning_rate="fast")
    check_arguments({"optimizer": "adamw", "learning_rate": 1e-3, "max_grad_norm": 1})


# ---- pretraining ----


def pretrained(fitter: Fitter, n_images: int, **arguments) -> list[int]:
    arguments = {"batch_size": 32, **arguments}
    return list(pretrain(fitter, config(), Uniform(), n_images, **arguments))


def test_pretraining_counts_the_images_and_learns():
    reader = classifier()
    fitter = Fitter(reader, learning_rate=1e-2, **HERE)
    seen = list(pretrain(fitter, config(), Grid(1), 1280, batch_size=32))
    assert seen == list(range(32, 1281, 32))
    split = config(split="test").shown_split
    whole = split.images.reshape(-1, 8, 2, 8, 2, 1).mean((2, 4)).astype(np.uint8)
    gaze = np.tile(np.float32([0.5, 0.5, 0.0]), (len(split), 1))
    belief = reader.update(reader.start(len(split)), whole, gaze).belief
    assert (belief.argmax(1) == split.labels).mean() > 0.9


def test_pretraining_goes_on_where_an_earlier_call_stopped():
    fitter = Fitter(classifier("feedforward"), **HERE)
    assert pretrained(fitter, 200, begun=96) == [128, 160, 192]
    assert pretrained(fitter, 200, begun=100) == [128, 160, 192]
    assert pretrained(fitter, 200, begun=192) == []
    assert pretrained(fitter, 10) == [32]  # at least one update


def rates(begun: int, **arguments) -> list[float]:
    """The learning rate of every update of 100, by number of updates."""
    fitter = Fitter(classifier("feedforward"), learning_rate=1.0, max_grad_norm=1e-9, **HERE)
    steps = pretrain(fitter, config(), Uniform(), 200, begun=begun, batch_size=2, **arguments)
    return [fitter.optimizer.state_dict()["adamw"]["param_groups"][0]["lr"] for _ in steps]


def test_the_learning_rate_rises_over_a_tenth_and_falls_linearly():
    whole = rates(0, scales=(1.0, 0.2))
    np.testing.assert_allclose(whole[:9], np.arange(1, 10) / 10, rtol=1e-6)
    np.testing.assert_allclose(whole[9:], 1 - 0.8 * np.arange(9, 100) / 100, rtol=1e-6)
    np.testing.assert_allclose(rates(120, scales=(1.0, 0.2)), whole[60:], rtol=1e-6)
    lower = rates(0, scales=(0.5, 0.1))
    np.testing.assert_allclose(lower, 0.5 * np.array(whole), rtol=1e-6)
    assert rates(0)[-1] == pytest.approx(0.01)


def test_the_seed_repeats_a_pretraining_and_another_does_not():
    def trained(seed: int) -> list[np.ndarray]:
        reader = classifier("feedforward")
        pretrained(Fitter(reader, seed=seed, **HERE), 64, seed=seed)
        return weights(reader)

    assert same(trained(1), trained(1)) and not same(trained(1), trained(2))


def test_the_progress_bar_shows_accuracies_by_glimpse(capsys):
    fitter = Fitter(classifier("feedforward"), **HERE)
    pretrained(fitter, 64)
    shown = capsys.readouterr().err
    assert "64/64" in shown and "accuracy by glimpse" in shown
    pretrained(fitter, 64, progress=False)
    assert capsys.readouterr().err == ""
    right, read = np.array([0, 1, 0, 3]), np.array([0, 4, 0, 4])
    assert by_glimpse(right, read) == "25.0 - 75.0"
