"""Classical registration: single clean actions, and a whole split."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from glimpse_envs.inverse import InverseConfig, InverseCore, make_config
from glimpse_envs.registration import INVERSE
from glimpse_lab.inverse.measures import measure
from glimpse_lab.inverse.registration import Registration, why_not
from glimpse_lab.inverse.rollout import evaluate

pytest.importorskip("skimage")


def inverse(name: str, **parts: object) -> InverseConfig:
    return make_config(**{**INVERSE[f"GlimpseInverse{name}-v0"], "split": "test", **parts})


def pair_of(config: InverseConfig, kind: int, parameter: float) -> dict[str, NDArray]:
    """A digit in the middle of the canvas before and after an action."""
    core = InverseCore(config, 1)
    core.seed_all(0)
    core.reset(core.lanes, np.array([3]))
    core.state[:] = 0.0
    core.state[:, 4] = -0.5  # of its brightness; there is room above
    still = {"type": np.array([0]), "parameters": np.zeros((1, 5), np.float32)}
    core.step(still)
    before = core.before.copy()
    parameters = np.zeros((1, 5), np.float32)
    parameters[0, kind] = parameter
    core.step({"type": np.array([kind]), "parameters": parameters})
    return {"before": before, "after": core.before.copy()}


@pytest.mark.parametrize("parameter", [-0.8, -0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", range(5))
def test_clean_actions_are_told(kind: int, parameter: float) -> None:
    config = inverse("Digits")
    told = Registration(config)(pair_of(config, kind, parameter))
    assert told["type"].tolist() == [kind]
    assert told["parameters"].shape == (1, 5) and told["parameters"].dtype == np.float32
    assert told["parameters"][0, kind] == pytest.approx(parameter, abs=0.04)


def test_most_actions_of_a_split_are_told() -> None:
    config = inverse("Digits")
    found = measure(evaluate(Registration(config), config, n_images=60), config.actions)
    assert found.total.type_accuracy > 0.9 and found.total.mean_similarity > 0.9
    assert found.by_type["rotate"].error.median < 1.0  # degrees


def test_empty_canvases_are_told_something() -> None:
    config = inverse("Digits")
    black = np.zeros((2, 48, 48, 1), np.uint8)
    told = Registration(config)({"before": black, "after": black})
    assert np.isfinite(told["parameters"]).all() and (told["parameters"] == 0).all()


def test_what_it_cannot_tell_is_refused() -> None:
    assert why_not(inverse("Digits")) is None
    with pytest.raises(ValueError, match="'cursor x' or 'cursor y'"):
        Registration(inverse("GUI"))
    with pytest.raises(ValueError, match="one is shown, with words"):
        Registration(inverse("Digits", instructions="digit"))
    with pytest.raises(ValueError, match="2 lie between"):
        Registration(inverse("Digits", changes=2, max_steps=2))


def test_without_scikit_image_the_message_tells_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    with pytest.raises(ImportError, match=r"pip install -e \"\.\[registration\]\""):
        Registration(inverse("Digits"))
