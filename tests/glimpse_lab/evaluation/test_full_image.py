"""The classifier of whole images: what it reads, its training, and where it is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from episodes import classifier, config, quadrants

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_lab.evaluation import full_image
from glimpse_lab.evaluation.full_image import full_image_classifier, full_image_config
from glimpse_lab.robustness.attacks import Viewer
from glimpse_lab.robustness.pictures import compose

TRAINING = {"n_images": 1280, "batch_size": 64, "learning_rate": 1e-2, "progress": False}


def evaluated(glance: GlimpseConfig) -> Metrics:
    """Return the metrics of all images of the split."""
    index = np.arange(len(glance.shown_split))
    return metrics(Viewer(glance).view(compose(glance, index), index))


def test_one_glance_at_full_resolution_is_all_that_it_gets() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 20, 30, 3), dtype=np.uint8)
    labels = np.arange(40) % 4
    dataset = ImageDataset.from_arrays(images, labels, images, labels)
    own = {"type": "gru", "encoder": "mlp", "hidden_size": 12, "code_size": 16}
    agents = GlimpseConfig(
        dataset=dataset,
        sensor={"type": "Retina", "size": 6, "scales": 2},
        scheme="Saccade",
        classifier=own,
        observe_classifier_features=True,
        start="random",
        split="test",
    )
    glance = full_image_config(agents)
    reader = glance.classifier
    assert reader.kind == "gru" and reader.settings == agents.classifier.settings
    result = evaluated(glance)
    assert result.mean_glimpses == 1 and result.mean_samples == 400
    assert result.coverage == pytest.approx(2 / 3)  # the middle of 20 x 30
    gaze = np.full((40, 3), 0.5, np.float32)
    gaze[:, 2] = 0.0
    belief = reader.update(reader.start(40), images[:, :, 5:25], gaze).belief
    assert result.accuracy == pytest.approx((belief.argmax(1) == labels).mean())
    assert result.accuracy_by_glimpse == (result.accuracy,)
    assert full_image_config(config()).classifier.settings == {"width": 24}  # without an own one


def test_it_sees_the_whole_image_where_the_agent_reads_round_its_last_glimpse() -> None:
    canvas = {"type": "canvas", "width": 2, "frame": 16, "keep": 3, "interpolate": True}
    scene = {"type": "TranslatedCanvas", "side": 24}
    agents = GlimpseConfig(scene=scene, scheme="Saccade", classifier=canvas)
    reader = full_image_config(agents).classifier
    assert reader.settings == {"width": 2, "interpolate": True}
    assert reader.memory.layout.grid_shape == reader.memory.seen.grid_shape == (12, 12)
    assert full_image_config(agents, width=3).classifier.settings == {"width": 3}


@pytest.mark.parametrize(("resolution", "cell"), [(24, 1), (12, 2), (8, 3)])
def test_it_sees_the_whole_image_at_a_resolution(resolution: int, cell: int) -> None:
    scene = {"type": "TranslatedCanvas", "side": 24}
    agents = GlimpseConfig(scene=scene, scheme="Saccade", classifier="feedforward", split="test")
    glance = full_image_config(agents, width=2, resolution=resolution)
    layout = glance.classifier.memory.layout
    assert layout.shape == (resolution, resolution) and layout.cells.tolist() == [cell]
    core = GlimpseCore(glance, 5)
    glimpses = core.reset(core.lanes)["glimpse"]
    canvases = core.source.images(core.times).reshape(5, resolution, cell, resolution, cell, 1)
    np.testing.assert_allclose(glimpses, canvases.mean((2, 4)), atol=0.5)
    painted = layout.painted(glimpses[:, None], core.gaze[:, None], np.ones(5, np.int64))
    painted = painted.reshape(5, 2, resolution, resolution)
    np.testing.assert_array_equal(painted[:, 0], glimpses[..., 0])
    assert painted[:, 1].all()


@pytest.mark.parametrize("resolution", [0, 25])
def test_a_resolution_that_the_image_does_not_have_is_refused(resolution: int) -> None:
    scene = {"type": "TranslatedCanvas", "side": 24}
    agents = GlimpseConfig(scene=scene, scheme="Saccade", classifier="feedforward")
    with pytest.raises(ValueError, match=rf"resolution={resolution}; wanted 1 to 24"):
        full_image_config(agents, resolution=resolution)


def test_it_learns_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agents = config(classifier=classifier("canvas"), split="test")
    reader, glance = full_image_classifier(agents, folder=tmp_path, **TRAINING)
    assert glance.classifier is reader and glance.split == "test"
    assert evaluated(glance).accuracy > 0.9
    (file,) = tmp_path.iterdir()
    capsys.readouterr()

    def never(*args: Any, **kwargs: Any) -> Iterator[int]:
        raise AssertionError("trained again")

    monkeypatch.setattr(full_image, "pretrain", never)
    again, _ = full_image_classifier(agents, folder=tmp_path, **TRAINING)
    assert again.digest() == reader.digest() and str(file) in capsys.readouterr().out
    changes: list[dict[str, Any]] = [{"seed": 1}, {"n_images": 640}, {"learning_rate": 1e-3}]
    for change in changes:
        with pytest.raises(AssertionError, match="trained again"):
            full_image_classifier(agents, folder=tmp_path, **{**TRAINING, **change})
    other = config(dataset=quadrants(200), classifier=classifier("canvas"), split="test")
    with pytest.raises(AssertionError, match="trained again"):
        full_image_classifier(other, folder=tmp_path, **TRAINING)


def test_it_is_kept_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path))
    agents = config(classifier=classifier("feedforward"), split="test")
    full_image_classifier(agents, **{**TRAINING, "n_images": 64})
    assert len(list((tmp_path / "classifiers").glob("*.pt"))) == 1


def test_ctrl_c_keeps_what_was_learnt_and_the_next_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = config(classifier=classifier("canvas"), split="test")
    real, begun = full_image.pretrain, []

    def interrupted(*args: Any, **kwargs: Any) -> Iterator[int]:
        for seen in real(*args, **kwargs):
            yield seen
            if seen == 640:
                raise KeyboardInterrupt

    monkeypatch.setattr(full_image, "pretrain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        full_image_classifier(agents, folder=tmp_path, **TRAINING)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(".part.pt")

    def resumed(*args: Any, **kwargs: Any) -> Iterator[int]:
        begun.append(kwargs["begun"])
        return real(*args, **kwargs)

    monkeypatch.setattr(full_image, "pretrain", resumed)
    _, glance = full_image_classifier(agents, folder=tmp_path, **TRAINING)
    assert begun == [640] and not part.exists() and len(list(tmp_path.iterdir())) == 1
    assert evaluated(glance).accuracy > 0.9
