"""Attacks on the classifier beside an agent, and the pictures that stand in for images."""

import sys
from typing import Any

import numpy as np
import pytest
import torch as th
from episodes import classifier, quadrants
from stable_baselines3 import PPO

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_envs.strategies import Uniform
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.robustness.attacks import Attack, AttackedViewer, Viewer, attack
from glimpse_lab.robustness.pictures import compose, shown
from policies import GlimpsePolicy
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier
from policies.classifier.trainer import Fitter, pretrain

ENV_ID = "GlimpseDigits-Saccade-v0"
INDEX = np.arange(1, 40, 2)  # half of the test images
EPSILON = 80  # grey levels; quadrants differ by 150


def environment(reader: Any, env_id: str = ENV_ID, **parts: Any) -> GlimpseConfig:
    sensor = {"type": "Crop", "size": 8}
    given = {"dataset": quadrants(), "scene": "Plain", "sensor": sensor, "budget": 3}
    parts = {**given, "split": "test", **parts}
    return make_config(**{**registered_kwargs(env_id), **parts, "classifier": reader})


def agent(config: GlimpseConfig, env_id: str = ENV_ID) -> PPO:
    """An untrained one: it looks about, and the classifier answers."""
    parts = {name: getattr(config, name) for name in GlimpseConfig.__annotations__}
    return PPO(GlimpsePolicy, GlimpseVecEnv(env_id, 4, **parts), n_steps=8, batch_size=16, seed=0)


def trained(kind: str) -> TorchClassifier:
    reader = classifier(kind)
    fitter = Fitter(
        reader, optimizer="adamw", learning_rate=1e-2, label_smoothing=0.0, bfloat16=False
    )
    config = environment(reader, split="train")
    for _ in pretrain(fitter, config, Uniform(), 2560, batch_size=64, progress=False):
        pass
    return reader


@pytest.fixture(scope="module", params=MEMORIES)
def viewer(request: pytest.FixtureRequest) -> Viewer:
    config = environment(trained(request.param))
    return Viewer(config, agent(config))


@pytest.fixture(scope="module")
def canvas_viewer() -> Viewer:
    config = environment(trained("canvas"))
    return Viewer(config, agent(config))


def truth(viewer: Viewer, pictures: np.ndarray) -> np.ndarray:
    """The final belief in the true class."""
    paths = viewer.view(pictures, INDEX)
    rows = np.arange(len(INDEX))
    return paths.standing_beliefs[rows, -1, paths.labels]


# ---- what is attacked ----


def test_the_logits_are_those_of_what_the_agent_believes_at_its_end(viewer: Viewer) -> None:
    pictures = compose(viewer.config, INDEX)
    attacked = AttackedViewer(viewer)
    attacked.index = INDEX
    images = th.as_tensor(pictures / np.float32(255)).permute(0, 3, 1, 2).requires_grad_()
    logits = attacked(images)
    wanted = viewer.view(pictures, INDEX).standing_beliefs[:, -1]
    np.testing.assert_allclose(logits.softmax(dim=1).detach(), wanted, atol=1e-4)
    th.nn.functional.cross_entropy(logits, th.as_tensor(INDEX % 4), reduction="sum").backward()
    assert images.grad.flatten(1).any(dim=1).all()  # each picture has its own


def test_a_small_step_changes_the_loss_as_the_gradient_says(viewer: Viewer) -> None:
    """Of the real pictures, whole grey levels, along a gaze that stays."""
    pictures = compose(viewer.config, INDEX)
    attacked = AttackedViewer(Viewer(viewer.config))  # looks at the middle
    attacked.index, labels = INDEX, th.as_tensor(viewer.config.shown_split.labels[INDEX])

    def loss(images: th.Tensor) -> th.Tensor:
        return th.nn.functional.cross_entropy(attacked(images), labels, reduction="none")

    images = th.as_tensor(pictures / np.float32(255)).permute(0, 3, 1, 2).requires_grad_()
    before = loss(images)
    (gradient,) = th.autograd.grad(before.sum(), images)
    after = (images + gradient.sign() * 2 / 255).clamp(0.0, 1.0).detach()
    predicted = (gradient * (after - images)).flatten(1).sum(1).detach().numpy()
    actual = (loss(after) - before).detach().numpy()
    assert (actual > 0).all() and 0.75 < predicted.sum() / actual.sum() < 1.25
    assert np.corrcoef(predicted, actual)[0, 1] > 0.9


def test_several_gazes_are_drawn_and_their_log_probabilities_averaged(
    canvas_viewer: Viewer,
) -> None:
    pictures = compose(canvas_viewer.config, INDEX)
    attacked = AttackedViewer(canvas_viewer, n_gazes=3)
    attacked.index = INDEX
    images = th.as_tensor(pictures / np.float32(255)).permute(0, 3, 1, 2)
    th.manual_seed(5)
    got = attacked(images)
    th.manual_seed(5)
    drawn = [canvas_viewer.view(pictures, INDEX, deterministic=False) for _ in range(3)]
    assert not np.array_equal(drawn[0].gaze, drawn[1].gaze)
    wanted = np.mean([np.log(paths.standing_beliefs[:, -1]) for paths in drawn], axis=0)
    np.testing.assert_allclose(got.detach(), wanted, atol=1e-3)


# ---- attacks ----


@pytest.fixture
def toolbox() -> None:
    pytest.importorskip("art", reason="attacks need the extra `attacks`")


@pytest.mark.usefixtures("toolbox")
def test_attacks_lower_the_belief_in_the_true_class_within_epsilon(viewer: Viewer) -> None:
    reader = viewer.config.classifier
    pictures, digest = compose(viewer.config, INDEX), reader.digest()
    reader.zero_grad()  # of its training
    clean = truth(viewer, pictures)
    assert clean.mean() > 0.8
    for settings in (Attack("fgsm", EPSILON), Attack("pgd", EPSILON, steps=5)):
        changed = attack(viewer, pictures, INDEX, settings)
        distance = np.abs(changed.astype(int) - pictures)
        assert distance.max() == EPSILON and changed.dtype == np.uint8
        assert truth(viewer, changed).mean() < clean.mean() - 0.1
    assert not reader.training and reader.digest() == digest
    assert all(p.requires_grad and p.grad is None for p in reader.parameters())


@pytest.mark.usefixtures("toolbox")
def test_of_random_noise_as_large_the_classifier_thinks_little(canvas_viewer: Viewer) -> None:
    """The attack's direction matters, not its size alone."""
    pictures = compose(canvas_viewer.config, INDEX)
    signs = np.random.default_rng(0).choice([-EPSILON, EPSILON], pictures.shape)
    noisy = (pictures + signs).clip(0, 255).astype(np.uint8)
    attacked = attack(canvas_viewer, pictures, INDEX, Attack("pgd", EPSILON, steps=5))
    assert truth(canvas_viewer, attacked).mean() < truth(canvas_viewer, noisy).mean() - 0.3


@pytest.mark.usefixtures("toolbox")
def test_attacks_repeat_by_seed_in_batches_and_leave_other_draws_alone(
    canvas_viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glimpse_lab.robustness.attacks._BATCH", 8)
    pictures = compose(canvas_viewer.config, INDEX)
    counts: list[int] = []
    settings = Attack("pgd", 16, steps=2, n_gazes=2)
    th.manual_seed(1)
    one = attack(canvas_viewer, pictures, INDEX, settings, progress=counts.append)
    drawn = th.rand(1)
    th.manual_seed(1)
    assert drawn == th.rand(1) and counts == [8, 8, 4]
    np.testing.assert_array_equal(one, attack(canvas_viewer, pictures, INDEX, settings))
    other = Attack("pgd", 16, steps=2, n_gazes=2, seed=1)
    assert not np.array_equal(one, attack(canvas_viewer, pictures, INDEX, other))


def test_without_the_toolbox_the_message_says_what_to_install(
    canvas_viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "art.attacks.evasion", None)
    pictures = compose(canvas_viewer.config, INDEX)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[attacks\]"'):
        attack(canvas_viewer, pictures, INDEX, Attack())


def test_an_agent_without_a_classifier_cannot_be_attacked_so() -> None:
    config = environment(None, "GlimpseDigits-MultiCat-v0")
    viewer = Viewer(config, agent(config, "GlimpseDigits-MultiCat-v0"))
    with pytest.raises(ValueError, match="not defined without one; corruptions are"):
        attack(viewer, compose(config, INDEX), INDEX, Attack())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "pdg"}, "wanted one of fgsm, pgd"),
        ({"epsilon": 0}, "whole grey levels from 1"),
        ({"epsilon": 0.5}, "whole grey levels from 1"),
        ({"steps": 0}, "steps=0"),
        ({"step": 0.0}, "step=0.0"),
        ({"n_gazes": 0}, "n_gazes=0"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attack(**arguments)


def test_the_step_follows_from_epsilon_unless_it_is_given() -> None:
    assert Attack("pgd", 8, steps=20).step_size == 1.0
    assert Attack("pgd", 8, step=0.5).step_size == 0.5
    assert Attack("fgsm", 8, step=0.5).step_size == 8.0


# ---- pictures in the place of images ----


@pytest.mark.parametrize("scene", ["Plain", {"type": "ClutteredCanvas", "side": 40, "pieces": 3}])
def test_unchanged_pictures_make_the_same_episodes(scene: Any) -> None:
    """Canvas, clutter and the random first glimpse of each image included."""
    config = environment("canvas", scene=scene, start="random", augment="ShiftFlip")
    model = agent(config)
    pictures = compose(config, INDEX)
    core = GlimpseCore(config, len(INDEX))
    core.seed_all(3)
    core.reset(core.lanes, INDEX)
    for row in range(len(INDEX)):
        np.testing.assert_array_equal(pictures[row], core.image(row))
    real = evaluate(model, config, index=INDEX)
    ours = Viewer(config, model).view(pictures, INDEX)
    for name in ("labels", "gaze", "n_glimpses", "answers", "coverage"):
        np.testing.assert_array_equal(getattr(real, name), getattr(ours, name))
    np.testing.assert_allclose(real.beliefs, ours.beliefs, atol=1e-5)


def test_pictures_go_to_the_images_that_they_stand_for() -> None:
    config = environment("canvas")
    pictures = np.arange(3, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (3, 16, 16, 1), np.uint8
    )
    core = GlimpseCore(shown(config, pictures, np.array([4, 9, 30])), 4)
    core.seed_all(0)
    core.reset(core.lanes, np.array([30, 4, 30, 9]))
    assert core.images()[:, 0, 0, 0].tolist() == [2, 0, 2, 1]
    np.testing.assert_array_equal(core.labels, config.shown_split.labels[[30, 4, 30, 9]])
    with pytest.raises(ValueError, match="without a picture"):
        core.reset(core.lanes[:1], np.array([5]))


def test_wrong_pictures_and_the_train_split_are_refused() -> None:
    config = environment("canvas")
    pictures = compose(config, INDEX)
    for wrong in (pictures[1:], pictures.astype(np.float32), pictures[:, 1:]):
        with pytest.raises(ValueError, match="wanted uint8"):
            shown(config, wrong, INDEX)
    with pytest.raises(ValueError, match="ascending"):
        shown(config, pictures, INDEX[::-1])
    with pytest.raises(ValueError, match="train split"):
        compose(environment("canvas", split="train"), INDEX)
