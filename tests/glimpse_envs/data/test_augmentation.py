"""Augmentation: exact pixels, and only where it belongs."""

import pickle
from collections import Counter
from dataclasses import dataclass
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from images import noise as noise_from_zero

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.core import GlimpseCore
from glimpse_envs.data.augmentation import FILLS, Augmentation, ShiftFlip

N = 600
KEYS = np.random.default_rng(0).integers(2**64, size=N, dtype=np.uint64)
KEYS_TWICE = np.random.default_rng(1).integers(2**64, size=2 * N, dtype=np.uint64)


#: images without a zero, so that filled pixels are told from others
noise = partial(noise_from_zero, low=1)


def shifted(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """The image moved dx to the right and dy down by padding and cutting, zeros elsewhere."""
    reach = max(abs(dx), abs(dy))
    height, width, _ = image.shape
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    return padded[reach - dy : reach - dy + height, reach - dx : reach - dx + width]


def config(split: str = "train", **parts) -> GlimpseConfig:
    images, labels = noise(200, 16, 20, 3), np.arange(200) % 4
    dataset = ImageDataset.from_arrays(images[:160], labels[:160], images[160:], labels[160:])
    return GlimpseConfig(**{"dataset": dataset, "augment": "ShiftFlip", "split": split, **parts})


AUGMENT = {"type": "ShiftFlip", "shift": 3, "flip": True}


def test_every_shift_and_both_images_occur_and_nothing_else():
    image = noise(1, 10, 14, 3)
    augmented = ShiftFlip(2, flip=True)(image.repeat(N, 0), KEYS)
    wanted = {
        shifted(side, dx, dy).tobytes(): (dx, dy, mirrored)
        for mirrored, side in enumerate((image[0], image[0, :, ::-1]))
        for dx in range(-2, 3)
        for dy in range(-2, 3)
    }
    got = [wanted.get(picture.tobytes()) for picture in augmented]
    assert None not in got
    counts = {kind: got.count(kind) for kind in wanted.values()}
    assert len(counts) == 50 and min(counts.values()) > 0  # each of 600 with probability 1 / 50
    assert max(counts.values()) < 35
    assert 0.4 < np.mean([mirrored for _, _, mirrored in got]) < 0.6


def test_a_shift_alone_never_mirrors():
    image = noise(1, 9, 9, 1)
    wanted = {shifted(image[0], dx, dy).tobytes() for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
    augmented = ShiftFlip(1)(image.repeat(N, 0), KEYS)
    assert {picture.tobytes() for picture in augmented} == wanted


def test_a_flip_alone_is_the_exact_mirror_image():
    images = noise(N, 6, 7, 3)
    augmented = ShiftFlip(0, flip=True)(images, KEYS)
    kept = (augmented == images).all((1, 2, 3))
    np.testing.assert_array_equal(augmented[~kept], images[~kept, :, ::-1])
    assert 0.4 < kept.mean() < 0.6


def test_the_default_shifts_and_never_flips():
    images = noise(20, 6, 7, 3)
    np.testing.assert_array_equal(ShiftFlip()(images, KEYS[:20]), ShiftFlip(2)(images, KEYS[:20]))
    np.testing.assert_array_equal(ShiftFlip(0)(images, KEYS[:20]), images)


def test_a_shift_wider_than_the_image_may_leave_nothing():
    augmented = ShiftFlip(30)(noise(N, 4, 4, 1), KEYS)
    assert (augmented == 0).all((1, 2, 3)).mean() > 0.9


def test_the_lowest_bit_of_a_stream_tells_which_mirror_image_is_shown():
    images, augment = noise(N, 6, 7, 3), ShiftFlip(0, flip=True)
    clear, set_bit = KEYS & ~np.uint64(1), KEYS | np.uint64(1)
    np.testing.assert_array_equal(augment(images, clear), images)
    np.testing.assert_array_equal(augment(images, set_bit), images[:, :, ::-1])
    np.testing.assert_array_equal(ShiftFlip(0)(images, set_bit), images)


@pytest.mark.parametrize("fill", FILLS)
def test_a_shift_has_nothing_to_do_with_the_mirror_image(fill):
    """Every shift comes with either."""
    image, augment = noise(1, 10, 14, 1), ShiftFlip(1, flip=True, fill=fill)
    counts = Counter(picture.tobytes() for picture in augment(image.repeat(N, 0), KEYS))
    assert len(counts) == 18 and min(counts.values()) > 10  # each of 600 with probability 1 / 18


def reflected(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """The image moved dx to the right and dy down, itself reflected elsewhere."""
    reach = max(abs(dx), abs(dy))
    height, width, _ = image.shape
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return padded[reach - dy : reach - dy + height, reach - dx : reach - dx + width]


@pytest.mark.parametrize(("shape", "shift"), [((10, 14, 3), 2), ((9, 9, 1), 1), ((4, 7, 1), 3)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_reflected_shift_is_that_of_a_padded_image(shape, shift, flip):
    image = noise(1, *shape)
    augmented = ShiftFlip(shift, flip=flip, fill="reflect")(image.repeat(2 * N, 0), KEYS_TWICE)
    sides = [image[0], image[0, :, ::-1]] if flip else [image[0]]
    shifts = range(-shift, shift + 1)
    wanted = {reflected(side, dx, dy).tobytes() for side in sides for dx in shifts for dy in shifts}
    assert {picture.tobytes() for picture in augmented} == wanted


@pytest.mark.parametrize("shape", [(4, 7, 1), (7, 4, 1)])
def test_a_reflected_shift_as_wide_as_the_image_is_refused(shape):
    assert ShiftFlip(3, fill="reflect")(noise(1, *shape), KEYS[:1]).any()
    message = rf"images of {shape[0]} x {shape[1]}; a reflected shift must be smaller"
    with pytest.raises(ValueError, match=message):
        ShiftFlip(4, fill="reflect")(noise(1, *shape), KEYS[:1])


def test_equal_keys_give_equal_images_wherever_they_stand():
    image, augment = noise(1, 8, 8, 1), ShiftFlip(3, flip=True)
    all_of_them = augment(image.repeat(N, 0), KEYS)
    order = np.random.default_rng(1).permutation(N)[:50]
    np.testing.assert_array_equal(augment(image.repeat(50, 0), KEYS[order]), all_of_them[order])


def test_the_images_given_stay_as_they_are():
    images = noise(20, 8, 8, 1)
    before = images.copy()
    ShiftFlip(3, flip=True)(images, KEYS[:20])
    np.testing.assert_array_equal(images, before)


# ---- in an environment ----


def test_a_plain_scene_with_augmentation_gives_every_lane_its_own_canvas():
    settings = config(augment=AUGMENT)
    assert settings.composed and settings.augmented
    core = GlimpseCore(settings, 64)
    core.seed_all(0)
    observation = core.reset(core.lanes, np.full(64, 5))
    assert len({core.image(lane).tobytes() for lane in range(64)}) > 30
    original = settings.shown_split.images[5]
    allowed = {
        shifted(side, dx, dy).tobytes()
        for side in (original, original[:, ::-1])
        for dx in range(-3, 4)
        for dy in range(-3, 4)
    }
    assert all(core.image(lane).tobytes() in allowed for lane in range(64))
    pictures = np.stack([core.image(lane) for lane in range(64)])
    np.testing.assert_array_equal(observation["glimpse"], settings.sensor(pictures, core.gaze))


def test_glimpses_after_a_step_come_from_the_augmented_image():
    core = GlimpseCore(config(augment=AUGMENT), 16)
    core.seed_all(0)
    core.reset(core.lanes)
    observation = core.step(np.tile([5, 2, 0], (16, 1))).observation  # closer, upper left
    pictures = np.stack([core.image(lane) for lane in range(16)])
    np.testing.assert_array_equal(observation["glimpse"], core.config.sensor(pictures, core.gaze))


def test_the_next_episode_shows_an_image_anew():
    core = GlimpseCore(config(augment=AUGMENT), 1)
    core.seed_all(0)
    seen = set()
    for _ in range(40):
        core.reset(core.lanes, np.array([5]))
        seen.add(core.image(0).tobytes())
    assert len(seen) > 15


def test_given_streams_say_what_an_episode_shows():
    settings, lanes = config(augment={**AUGMENT, "fill": "reflect"}), np.arange(8)
    cores = [GlimpseCore(settings, 8) for _ in range(2)]
    for seed, core in enumerate(cores):
        core.seed_all(seed)
        core.reset(core.lanes)
    index, stream = np.arange(20, 28), KEYS[:8]
    observations = [core.reset(core.lanes, index, stream) for core in cores]
    np.testing.assert_array_equal(observations[0]["glimpse"], observations[1]["glimpse"])
    wanted = settings.augment(settings.shown_split.images[index], stream)
    np.testing.assert_array_equal([cores[0].image(lane) for lane in lanes], wanted)
    # some lanes alone, in another order
    cores[1].reset(np.array([5, 2]), index[[0, 1]], stream[[0, 1]])
    np.testing.assert_array_equal(cores[1].image(5), wanted[0])
    np.testing.assert_array_equal(cores[1].image(2), wanted[1])
    np.testing.assert_array_equal(cores[1].image(3), wanted[3])


def test_a_given_stream_chooses_the_image_where_none_is_given():
    cores = [GlimpseCore(config(augment=AUGMENT), 8) for _ in range(2)]
    for core in cores:
        core.seed_all(0)
        core.reset(core.lanes)
    cores[0].reset(cores[0].lanes, stream=KEYS[:8])
    assert not np.array_equal(cores[0].index, cores[1].index)
    cores[1].reset(cores[1].lanes, stream=KEYS[:8])
    np.testing.assert_array_equal(cores[0].index, cores[1].index)
    for core in cores:  # and the episode after it is the lane's own
        core.reset(core.lanes)
    fresh = GlimpseCore(config(augment=AUGMENT), 8)
    fresh.seed_all(0)
    for _ in range(3):
        fresh.reset(fresh.lanes)
    np.testing.assert_array_equal(cores[0].index, fresh.index)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_validation_and_test_images_are_shown_as_they_are(split):
    settings = config(split, augment=AUGMENT)
    assert not settings.augmented and not settings.composed
    core = GlimpseCore(settings, 8)
    core.seed_all(0)
    core.reset(core.lanes, np.arange(8))
    for lane in range(8):
        np.testing.assert_array_equal(core.image(lane), settings.shown_split.images[lane])


def test_without_augmentation_a_plain_scene_shares_its_images():
    assert not config(augment=None).composed


def test_a_canvas_is_composed_before_it_is_augmented():
    scene = {"type": "TranslatedCanvas", "side": 24}
    core = GlimpseCore(config(scene=scene, augment={"type": "ShiftFlip", "shift": 4}), 100)
    core.seed_all(0)
    core.reset(core.lanes)
    lit = [(core.image(lane) > 0).any(2).sum() for lane in range(100)]
    assert min(lit) < 16 * 20 == max(lit)  # shifted out of the canvas, not of the image


def test_the_same_seed_gives_the_same_images_on_every_face():
    env_id, parts = "GlimpseCIFAR-MultiCat-v0", {"augment": AUGMENT}
    vector = gym.make_vec(env_id, num_envs=3, **parts)
    observation, _ = vector.reset(seed=7)
    for lane in range(3):
        single, _ = gym.make(env_id, **parts).reset(seed=7 + lane)
        np.testing.assert_array_equal(single["glimpse"], observation["glimpse"][lane])


def test_a_pickled_simulation_goes_on_with_the_same_images():
    core = GlimpseCore(config(augment=AUGMENT), 4)
    core.seed_all(0)
    core.reset(core.lanes)
    again = pickle.loads(pickle.dumps(core))
    for step in range(3):
        action = np.tile([1 + step, 2, 0], (4, 1))
        ours, theirs = core.step(action).observation, again.step(action).observation
        np.testing.assert_array_equal(ours["glimpse"], theirs["glimpse"])
    ours, theirs = core.reset(core.lanes), again.reset(again.lanes)
    np.testing.assert_array_equal(ours["glimpse"], theirs["glimpse"])


# ---- how it is named ----


def test_an_augmentation_by_name_survives_a_serialised_spec():
    env = gym.make("GlimpseCIFAR-MultiCat-v0", augment=AUGMENT)
    assert env.unwrapped.config.augment == ShiftFlip(3, flip=True)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config.augment == ShiftFlip(3, flip=True)


@dataclass(frozen=True)
class Negative(Augmentation):
    """An augmentation of one's own."""

    def __call__(self, images: np.ndarray, keys: np.ndarray) -> np.ndarray:
        return 255 - images


def test_an_augmentation_of_ones_own_works_by_name():
    core = GlimpseCore(config(augment="Negative"), 2)
    core.seed_all(0)
    core.reset(core.lanes, np.array([3, 4]))
    np.testing.assert_array_equal(core.image(1), 255 - core.config.shown_split.images[4])


@pytest.mark.parametrize("shift", [-1, 1.5, True, "2"])
def test_a_shift_that_is_no_number_of_pixels_is_refused(shift):
    with pytest.raises(ValueError, match=r"ShiftFlip\(shift=.*integer of at least 0"):
        ShiftFlip(shift)


@pytest.mark.parametrize("flip", [1, "yes", None])
def test_a_flip_is_true_or_false(flip):
    with pytest.raises(ValueError, match=r"ShiftFlip\(flip=.*true or false"):
        ShiftFlip(flip=flip)


@pytest.mark.parametrize("fill", ["mirror", 0, None])
def test_an_unknown_fill_is_refused(fill):
    with pytest.raises(ValueError, match=r"ShiftFlip\(fill=.*wanted one of reflect, zeros"):
        ShiftFlip(fill=fill)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("ShiftFlop", "did you mean 'ShiftFlip'"),
        ({"type": "ShiftFlip", "shif": 1}, "did you mean 'shift'"),
        (3, "as Augmentation"),
    ],
)
def test_an_augmentation_that_is_none_is_refused(augment, message):
    with pytest.raises(ValueError, match=message):
        config(augment=augment)
