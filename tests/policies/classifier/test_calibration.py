"""Temperatures: of synthetic logits whose right one is known, and of real readings."""

import numpy as np
import pytest
import torch as th
from episodes import classifier, config, random_episodes, separable_episodes
from scipy.special import softmax

from glimpse_envs.core import Sequences
from glimpse_envs.strategies import Uniform
from policies.classifier.calibration import calibrate
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier
from policies.classifier.trainer import Fitter
from policies.classifier.validation import scripted_validation_episodes


def logits(reader: TorchClassifier, episodes: Sequences) -> np.ndarray:
    """What the readout says after every glimpse, (n, T, K)."""
    state, said = reader.start(len(episodes.labels)), []
    for t in range(episodes.gaze.shape[1]):
        state, _, hidden = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        with th.no_grad():
            said.append(reader.readout(th.as_tensor(hidden)).numpy())
    return np.stack(said, 1)


def losses(reader: TorchClassifier, episodes: Sequences) -> np.ndarray:
    """The cross-entropy of the belief after every number of glimpses that some episode has."""
    state, found = reader.start(len(episodes.labels)), []
    for t in range(episodes.counts.max()):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        rows = (episodes.counts > t).nonzero()[0]
        found.append(-np.log(belief[rows, episodes.labels[rows]]).mean())
    return np.array(found)


def drawn(reader: TorchClassifier, episodes: Sequences, temperature: float) -> Sequences:
    """The episodes with labels drawn from the belief after the last glimpse at a temperature."""
    last = logits(reader, episodes)[:, -1]
    chances = softmax(last / temperature, axis=1).cumsum(1)
    chosen = (np.random.default_rng(0).random((len(last), 1)) > chances[:, :-1]).sum(1)
    return episodes._replace(labels=chosen)


def sharp(kind: str) -> TorchClassifier:
    """A classifier of large logits, which random weights do not have."""
    reader = classifier(kind)
    with th.no_grad():
        reader.readout.weight.mul_(30.0)
    return reader


@pytest.mark.parametrize("wanted", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found_again(wanted):
    """Also where episodes fill more than one batch."""
    reader = sharp("feedforward")
    episodes = random_episodes(4000, budget=1)
    calibrate(reader, drawn(reader, episodes, wanted))
    np.testing.assert_allclose(reader.temperatures, wanted, rtol=0.1)


def test_each_number_of_glimpses_has_its_own():
    """After one glimpse labels follow the belief at 0.5, after two at 2.5."""
    reader = sharp("feedforward")
    first, second = (random_episodes(3000, budget=1, seed=seed) for seed in (0, 1))
    parts = [drawn(reader, first, 0.5), drawn(reader, second, 2.5)]
    # an episode of one glimpse, and one that shows another before, whose label is its last one's
    blank = random_episodes(3000, budget=1, seed=2)
    pair = [np.concatenate([a, b], axis=1) for a, b in zip(blank[:2], second[:2], strict=True)]
    single = [np.concatenate([a, np.zeros_like(a)], axis=1) for a in first[:2]]
    episodes = Sequences(
        *(np.concatenate([a, b]) for a, b in zip(single, pair, strict=True)),
        np.repeat([1, 2], 3000),
        np.concatenate([part.labels for part in parts]),
    )
    calibrate(reader, episodes)
    assert reader.temperatures[1].item() == pytest.approx(2.5, rel=0.1)
    # of the first glimpses half of the labels say nothing
    only_first = Sequences(*(array[:3000] for array in episodes))
    assert reader.temperatures[0].item() > 1.0
    calibrate(reader, only_first)
    np.testing.assert_allclose(reader.temperatures, 0.5, rtol=0.1)


@pytest.mark.parametrize("kind", MEMORIES)
def test_the_cross_entropy_falls_to_that_of_the_best_temperature(kind):
    reader, episodes = sharp(kind), random_episodes(600)
    before, said = losses(reader, episodes), logits(reader, episodes)
    calibrate(reader, episodes)
    after = losses(reader, episodes)
    assert (after < before - 0.1).all()
    for t in range(4):
        rows = (episodes.counts > t).nonzero()[0]
        for temperature in np.geomspace(0.05, 20, 60):
            belief = softmax(said[rows, t] / temperature, axis=1)
            loss = -np.log(belief[np.arange(len(rows)), episodes.labels[rows]]).mean()
            assert after[t] <= loss + 1e-3


def test_what_is_answered_stays():
    reader, episodes = sharp("gru"), random_episodes(200)
    before = reader.update(reader.start(200), episodes.glimpses[:, 0], episodes.gaze[:, 0])
    calibrate(reader, episodes)
    after = reader.update(reader.start(200), episodes.glimpses[:, 0], episodes.gaze[:, 0])
    np.testing.assert_array_equal(before.belief.argmax(1), after.belief.argmax(1))
    np.testing.assert_array_equal(before.hidden, after.hidden)
    assert not np.allclose(before.belief, after.belief)


def test_temperatures_of_before_do_not_matter():
    reader, episodes = sharp("gru"), random_episodes(100)
    calibrate(reader, episodes)
    first = reader.temperatures.clone()
    reader.temperatures.fill_(7.0)
    calibrate(reader, episodes)
    assert th.equal(reader.temperatures, first)


def test_after_more_glimpses_than_the_episodes_have_the_last_temperature_holds():
    reader = sharp("gru")
    calibrate(reader, random_episodes(400, budget=3))
    temperatures = reader.temperatures.tolist()
    assert len(set(temperatures[:3])) == 3
    assert temperatures[3:] == [temperatures[2]] * 29


def test_a_few_episodes_tell_too_little():
    reader = sharp("gru")
    calibrate(reader, random_episodes(99))
    assert th.equal(reader.temperatures, th.ones(32))
    calibrate(reader, random_episodes(250, budget=2))  # 125 of two glimpses
    calibrate(reader, random_episodes(150, budget=2))  # 75 of them
    assert reader.temperatures[0] != 1 and th.equal(
        reader.temperatures, reader.temperatures[:1].expand(32)
    )


def test_episodes_of_more_than_32_glimpses_give_32_temperatures():
    reader, rng = sharp("feedforward"), np.random.default_rng(0)
    single = random_episodes(200, budget=1)
    episodes = Sequences(  # one glimpse over and over, a little to its side
        single.glimpses.repeat(40, 1),
        single.gaze + rng.normal(0, 0.02, (200, 40, 3)).astype(np.float32),
        np.full(200, 40),
        drawn(reader, single, 2.0).labels,
    )
    calibrate(reader, episodes)
    assert len(set(reader.temperatures.tolist())) == 32
    first = reader.temperatures.clone()
    calibrate(reader, episodes._replace(counts=np.full(200, 32)))
    assert th.equal(reader.temperatures, first)


def test_a_perfect_classifier_becomes_as_sure_as_it_may():
    reader = sharp("feedforward")
    episodes = random_episodes(200, budget=1)
    right = episodes._replace(labels=logits(reader, episodes)[:, 0].argmax(1))
    calibrate(reader, right)
    np.testing.assert_allclose(reader.temperatures, 1 / 20, rtol=1e-3)


def test_what_is_calibrated_on_unseen_episodes_is_better_calibrated_on_others():
    """Trained to be surer than it is right: on few images, again and again."""
    reader = classifier("gru")
    fitter = Fitter(reader, learning_rate=1e-2, label_smoothing=0.0, bfloat16=False)
    noisy = [shuffled(separable_episodes(n, seed=n), share=0.3) for n in (30, 400, 401)]
    for _ in range(60):
        fitter.update(noisy[0])
    before = losses(reader, noisy[2])
    calibrate(reader, noisy[1])
    assert (losses(reader, noisy[2]) < before - 0.05).all()
    assert (reader.temperatures > 1.2).all()


def shuffled(episodes: Sequences, share: float) -> Sequences:
    """Episodes a share of whose labels is drawn at random."""
    rng = np.random.default_rng(0)
    random = rng.integers(4, size=len(episodes.labels))
    changed = rng.random(len(random)) < share
    return episodes._replace(labels=np.where(changed, random, episodes.labels))


# ---- what it is calibrated on ----


@pytest.mark.parametrize(("n", "wanted"), [(5, 5), (1000, 16)])
def test_scripted_validation_episodes_show_each_validation_image_once_at_most(n, wanted):
    settings = config()
    unseen = config(split="validation")
    assert len(unseen.shown_split) == 16
    episodes = scripted_validation_episodes(settings, Uniform(), n, seed=3)
    assert len(episodes.labels) == wanted and (episodes.counts == settings.budget).all()
    images = unseen.shown_split.images
    found = []
    for glimpse, gaze, label in zip(
        episodes.glimpses[:, 0], episodes.gaze[:, 0], episodes.labels, strict=True
    ):
        seen = settings.sensor(images, gaze[None].repeat(16, 0))
        (row,) = (seen == glimpse).all((1, 2, 3)).nonzero()[0]
        assert unseen.shown_split.labels[row] == label
        found.append(row)
    assert len(set(found)) == wanted
