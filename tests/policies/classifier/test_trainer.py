"""Training a classifier, on problems that it can solve in a moment."""

import numpy as np
import pytest
import torch as th
from episodes import classifier, config, random_episodes, same, separable_episodes, weights

from glimpse_envs.core import Sequences
from glimpse_envs.strategies import Grid, Uniform
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier
from policies.classifier.trainer import DivergedError, Fitter, by_glimpse, pretrain

HERE = {"bfloat16": False}


def accuracy(reader: TorchClassifier, episodes: Sequences) -> float:
    """The share that is right after all glimpses."""
    state = reader.start(len(episodes.labels))
    for t in range(episodes.gaze.shape[1]):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
    return float((belief.argmax(1) == episodes.labels).mean())


# ---- one update ----


@pytest.mark.parametrize("kind", MEMORIES)
def test_the_loss_falls_and_unseen_episodes_are_classified(kind):
    reader = classifier(kind)
    fitter = Fitter(reader, learning_rate=1e-2, **HERE)
    losses = [fitter.update(separable_episodes(64, seed=step)).loss for step in range(50)]
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
    fit = Fitter(reader, early_weight=0.5, **HERE).update(episodes)
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


@pytest.mark.parametrize("scale", [1.0, 0.25, 0.0])
def test_the_scale_multiplies_the_learning_rate(scale):
    reader = classifier("gru")
    fitter = Fitter(reader, learning_rate=4e-3, weight_decay=0.0, **HERE)
    before = [weight.detach().clone() for weight in reader.parameters()]
    fitter.update(random_episodes(8), scale=scale)
    assert {group["lr"] for group in fitter.optimizer.param_groups} == {4e-3 * scale}
    moved = max(
        float((new.detach() - old).abs().max())
        for new, old in zip(reader.parameters(), before, strict=True)
    )
    assert moved == pytest.approx(4e-3 * scale, rel=0.01)  # Adam's first step is a sign


def test_only_matrices_decay():
    fitter = Fitter(classifier(), weight_decay=0.2, **HERE)
    for group in fitter.optimizer.param_groups:
        wanted = {True: 0.2, False: 0.0}
        assert {wanted[weight.ndim > 1] for weight in group["params"]} == {group["weight_decay"]}
    groups = fitter.optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(classifier().parameters()))


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
    moments = [state["exp_avg"].clone() for state in fitter.optimizer.state.values()]
    with pytest.raises(DivergedError, match=r"became nan.*\(it was 0\.05\), or bfloat16=false"):
        fitter.update(random_episodes(8), scale=0.1)
    for weight, old in zip(reader.parameters(), before, strict=True):
        assert th.equal(weight.nan_to_num(7.0), old.nan_to_num(7.0))
    for state, old in zip(fitter.optimizer.state.values(), moments, strict=True):
        assert th.equal(state["exp_avg"], old)
    assert not reader.training


def test_a_loss_that_is_no_number_leaves_the_statistics_of_a_canvas_alone():
    reader = classifier("canvas")
    with th.no_grad():
        reader.readout.weight[0, 0] = float("nan")
    before = weights(reader)
    with pytest.raises(DivergedError):
        Fitter(reader, **HERE).update(random_episodes(8))
    assert same(weights(reader), before)


@pytest.mark.parametrize(
    "wrong", [{"learning_rate": 0.0}, {"early_weight": -0.1}, {"early_weight": 1.1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted a learning rate above 0 and a weight"):
        Fitter(classifier("gru"), **wrong)


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
    return [fitter.optimizer.param_groups[0]["lr"] for _ in steps]


def test_the_learning_rate_rises_briefly_and_falls_linearly():
    whole = rates(0, scales=(1.0, 0.2))
    np.testing.assert_allclose(whole[:3], [1 / 3, 2 / 3, 1 - 0.8 * 0.02], rtol=1e-6)
    np.testing.assert_allclose(whole[3:], 1 - 0.8 * np.arange(3, 100) / 100, rtol=1e-6)
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
