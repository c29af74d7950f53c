"""Learning a sensor: a task with a known optimum, and the command."""

import gymnasium as gym
import numpy as np
import pytest
import yaml
from forks import ForkedScript
from PIL import Image
from scripts import finish

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.sensors import Crop, Lattice
from glimpse_lab import learned_sensor
from glimpse_lab.learned_sensor import draw, learn
from glimpse_lab.recipes import parse_settings

#: of 12 x 12 images one of these sixteen pixels is lit, which tells the class
TELLING = np.stack(np.meshgrid([4, 5, 6, 7], [4, 5, 6, 7]), axis=2).reshape(-1, 2)


def one_of_sixteen(n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 16
    images = np.zeros((n, 12, 12), np.uint8)
    rows = TELLING[labels]
    images[np.arange(n), rows[:, 0], rows[:, 1]] = 255
    return images, labels


def sixteen_pixels() -> GlimpseConfig:
    dataset = ImageDataset.from_arrays(*one_of_sixteen(2000), *one_of_sixteen(80))
    given = {"scheme": "Saccade", "sensor": Crop(4), "budget": 2, "start": "centre"}
    watched = {"type": "feedforward", "encoder": "mlp"}
    return make_config(dataset=dataset, classifier=watched, reward="Terminal", **given)


def told_apart(sensor: Lattice) -> int:
    """Return how many different glimpses the classes give, from the middle."""
    images = np.zeros((16, 12, 12, 1), np.uint8)
    images[np.arange(16), TELLING[:, 0], TELLING[:, 1]] = 255
    glimpses = sensor(images, np.tile(np.float32([0.5, 0.5, 1.0]), (16, 1)))
    return len(np.unique(glimpses.reshape(16, -1), axis=0))


def test_receptive_fields_gather_where_the_pixels_are_that_tell_the_class():
    tiles = [[(3 * x - 4, 3 * y - 4, 3) for x in range(4)] for y in range(4)]
    assert told_apart(Lattice(tiles)) == 4
    found = []
    for seed in range(3):  # 5 to 16, as rounding has it: units that lie on each other stay there
        sensor = learn(
            sixteen_pixels(), size=4, field=3.0, gaze="Centre", n_images=60_000, seed=seed,
            progress=False,
        )  # fmt: skip
        assert sensor.size == 4 and sensor.span <= 3
        found.append(told_apart(sensor))
        if found[-1] >= 9:
            break
    assert found[-1] >= 9, found


def test_each_receptive_field_is_drawn(tmp_path):
    sizes = []
    for side in (1, 4):
        lattice = Lattice([[(0, 0, 1), (1, 0, 1)], [(-3, 1, 2), (1, 1, side)]])
        sizes.append(np.asarray(Image.open(draw(lattice, tmp_path / "a.png"))).std())
    empty = Lattice([[(-3, 0, 1)] * 2] * 2)  # one on the other
    sizes.append(np.asarray(Image.open(draw(empty, tmp_path / "b.png"))).std())
    assert len(set(sizes)) == 3


def test_the_command_writes_what_train_takes(tmp_path):
    file = tmp_path / "sensor.yml"
    command = ("GlimpseDigits-RAM-v0", file, "--size", 4, "--field", 2, "--images", 300)
    status, output, errors = finish(ForkedScript(learned_sensor.main, *command))
    assert status == 0, errors
    assert f"16 receptive fields, 2 to 2 pixels wide, over 2 windows: {file}" in output
    assert output.splitlines()[-1].startswith("next:  python train.py --env GlimpseDigits-RAM-v0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sensor.png", "sensor.yml"]
    text = file.read_text()
    (sensor,) = parse_settings([f"env_kwargs.sensor={text}"]).values()
    assert sensor == yaml.safe_load(text)
    env = gym.make("GlimpseDigits-MultiCat-v0", sensor=sensor)
    assert env.reset(seed=0)[0]["glimpse"].shape == (4, 4, 1)


def test_the_command_changes_the_environment(tmp_path, capsys, monkeypatch):
    configs = []

    def watched(config: GlimpseConfig, **settings: object) -> Lattice:
        configs.append(config)
        return Lattice([[(0, 0, 1), (1, 0, 1)]] * 2)

    monkeypatch.setattr(learned_sensor, "learn", watched)
    changes = ["env_kwargs.scene={type: ClutteredCanvas, side: 24}", "env_kwargs.budget=4"]
    learned_sensor.main(["GlimpseDigits-RAM-v0", str(tmp_path / "a.yml"), "--set", *changes])
    assert configs[0].shape == (24, 24, 1) and configs[0].budget == 4
    assert (
        "--set 'env_kwargs.scene={type: ClutteredCanvas, side: 24}' env_kwargs.budget=4 env_k"
        in (capsys.readouterr().out)
    )


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"size": 3, "field": 5.0},
            "a window of 15 pixels; wanted more than 3, and at most the 12",
        ),
        ({"size": 3, "field": 1.0}, "wanted more than 3"),
        ({"size": 65, "field": 1.1}, "a window of 71 pixels"),
        ({"gaze": "Nowhere"}, "unknown ScriptedGaze 'Nowhere'"),
    ],
)
def test_what_cannot_be_learnt_is_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        learn(sixteen_pixels(), **{"size": 3, "field": 3.0, "n_images": 256, **settings})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("GlimpseDigit-RAM-v0", "a.yml"), "GlimpseDigits-RAM-v0"),
        (("GlimpseDigits-RAM-v0", "a.yml", "--size", "65"), "wanted an integer, 2 to 64"),
        (("GlimpseDigits-RAM-v0", "a.txt"), "a.txt; wanted a name that ends with .yml"),
        (
            ("GlimpseDigits-RAM-v0", "a.yml", "--set", "n_envs=4"),
            "n_envs=4; wanted env_kwargs.NAME",
        ),
        (("GlimpseDigits-RAM-v0", "a.yml", "--set", "env_kwargs.bugdet=4"), "bugdet"),
        (
            ("GlimpseDigits-RAM-v0", "a.yml", "--set", "env_kwargs.classifier={type: gru}"),
            "env_kwargs.classifier; sensor, classifier, reward, split are chosen here",
        ),
        (
            ("GlimpseDigits-RAM-v0", "a.yml", "--set", "env_kwargs.split=test"),
            "env_kwargs.split; sensor, classifier, reward, split are chosen here",
        ),
    ],
)
def test_the_command_says_what_is_wrong(arguments, match, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        learned_sensor.main(list(arguments))
    assert match in capsys.readouterr().err and not list(tmp_path.iterdir())
