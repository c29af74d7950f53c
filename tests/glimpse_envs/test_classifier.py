"""Classifiers by name: kinds that are registered, and what is said of the others."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier

from glimpse_envs import GlimpseClassifier, GlimpseConfig, GlimpseEnv
from glimpse_envs.classifier import register_classifier

ROOT = Path(__file__).parents[2]
SACCADE = "GlimpseMNIST-Saccade-v0"


@pytest.fixture(autouse=True)
def numpy_kind(monkeypatch: pytest.MonkeyPatch) -> list[GlimpseConfig]:
    """Only the kind "numpy"; the configurations that its maker was called with."""
    monkeypatch.setattr("glimpse_envs.classifier._MAKERS", {})
    seen: list[GlimpseConfig] = []

    def make(config: GlimpseConfig, seed: int = 0) -> NumpyClassifier:
        seen.append(config)
        return NumpyClassifier(config.dataset.n_classes, seed=seed)

    register_classifier("numpy", make)
    return seen


@pytest.mark.parametrize(
    ("given", "seed"), [("numpy", 0), ({"type": "numpy"}, 0), ({"type": "numpy", "seed": 4}, 4)]
)
def test_a_registered_kind_is_made_by_name(given, seed):
    env = gym.make(SACCADE, classifier=given)
    classifier = env.unwrapped.config.classifier
    assert isinstance(classifier, NumpyClassifier) and classifier.seed == seed
    observation, _ = env.reset(seed=0)
    assert observation["belief"].shape == (10,)


def test_the_maker_sees_the_resolved_parts_of_the_environment(numpy_kind):
    GlimpseConfig(classifier="numpy", sensor={"type": "Crop", "size": 6}, scheme="Saccade")
    (seen,) = numpy_kind
    assert seen.sensor.glimpse_shape(1) == (6, 6, 1) and seen.start == "centre"
    assert seen.dataset.n_classes == 10


def test_every_environment_makes_its_own_and_the_dict_stays_as_it_was():
    given = {"type": "numpy", "seed": 4}
    one, two = (GlimpseConfig(classifier=given).classifier for _ in range(2))
    assert one is not two and given == {"type": "numpy", "seed": 4}


def test_an_object_is_taken_as_it_is():
    classifier = NumpyClassifier()
    assert GlimpseConfig(classifier=classifier).classifier is classifier
    assert isinstance(classifier, GlimpseClassifier)


def test_a_classifier_by_name_survives_a_serialised_spec():
    env = gym.make(SACCADE, classifier={"type": "numpy", "seed": 2})
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config.classifier.seed == 2
    observations = [e.reset(seed=0)[0] for e in (env, again)]
    np.testing.assert_array_equal(observations[0]["belief"], observations[1]["belief"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nump", "unknown type; did you mean 'numpy'"),
        ({"type": "nump"}, "did you mean 'numpy'"),
        ({"seed": 1}, "unknown type"),
        ({"type": "numpy", "sed": 1}, "cannot make a classifier of .*'sed'"),
        (3, "got classifier 3; attach one"),
    ],
)
def test_what_is_no_classifier_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        GlimpseConfig(classifier=given)


def test_a_scheme_that_needs_a_classifier_says_how_to_attach_one():
    with pytest.raises(ValueError, match=r"Saccade needs a classifier.*after import policies"):
        gym.make(SACCADE)


def test_a_check_of_its_own_is_asked():
    class Choosy(NumpyClassifier):
        def adapted_to(self, config: GlimpseConfig) -> GlimpseClassifier:
            if config.budget > 3:
                raise ValueError("patience ends after three glimpses")
            return self if config.budget == 3 else Choosy(hidden_size=0)

    choosy = Choosy()
    assert GlimpseConfig(classifier=choosy, budget=3).classifier is choosy
    assert GlimpseConfig(classifier=choosy, budget=2).classifier.hidden_size == 0
    with pytest.raises(ValueError, match="patience ends"):
        GlimpseEnv(classifier=Choosy(), budget=4)
    Choosy.adapted_to = lambda self, config: None
    with pytest.raises(ValueError, match="adapted_to of Choosy gave None; wanted a classifier of"):
        GlimpseConfig(classifier=choosy, budget=2)


def test_a_classifier_of_other_shapes_than_it_says_is_refused():
    with pytest.raises(ValueError, match="state, belief and hidden of shapes"):
        GlimpseConfig(classifier=NumpyClassifier(10, hidden_size=11))  # it has ten
    with pytest.raises(ValueError, match="knows 9 classes"):
        GlimpseConfig(classifier=NumpyClassifier(9))


def test_without_policies_the_hint_is_to_import_them():
    code = "import glimpse_envs as g; g.GlimpseConfig(classifier={'type': 'canvas'})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ValueError" in result.stderr and "import policies registers some" in result.stderr
