"""Episodes that are kept, and episodes along a given gaze."""

from typing import Any

import numpy as np
import pytest
from episodes import classifier, config, random_episodes

from glimpse_envs import GlimpseConfig
from glimpse_envs.core import Sequences
from glimpse_envs.strategies import Fixed, Grid, Uniform
from policies.classifier.replay import Collector, SequenceStore, join


def numbered(first: int, n: int) -> Sequences:
    """Episodes whose labels number them."""
    episodes = random_episodes(n, seed=first)
    return episodes._replace(labels=np.arange(first, first + n))


def kept(store: SequenceStore) -> set[int]:
    """The numbers of the episodes that a large sample meets."""
    return set(store.sample(2000, np.random.default_rng(0)).labels.tolist())


# ---- the store ----


def test_a_store_fills_and_then_the_oldest_make_room():
    store = SequenceStore(10)
    assert len(store) == 0
    wanted = [(4, 4, range(4)), (4, 8, range(8)), (4, 10, range(2, 12)), (3, 10, range(5, 15))]
    first = 0
    for n, size, numbers in wanted:
        store.add(numbered(first, n))
        first += n
        assert (len(store), store.total) == (size, first)
        assert kept(store) == set(numbers)


@pytest.mark.parametrize("n", [10, 11, 25])
def test_of_more_than_the_capacity_the_last_are_kept(n):
    store = SequenceStore(10)
    store.add(numbered(0, 3))
    store.add(numbered(3, n))
    assert kept(store) == set(range(n - 7, n + 3)) and len(store) == 10
    store.add(numbered(n + 3, 1))
    assert kept(store) == set(range(n - 6, n + 4))


def test_an_episode_comes_back_whole():
    store, episodes = SequenceStore(6), numbered(0, 9)
    for row in range(9):
        store.add(Sequences(*(array[row : row + 1] for array in episodes)))
    sample = store.sample(50, np.random.default_rng(1))
    for array, original in zip(sample, episodes, strict=True):
        assert array.dtype == original.dtype
        np.testing.assert_array_equal(array, original[sample.labels])


def test_what_is_kept_are_copies():
    store, episodes = SequenceStore(4), numbered(0, 4)
    store.add(episodes)
    before = store.sample(20, np.random.default_rng(0))
    episodes.glimpses[:] = 0
    before.gaze[:] = 0.0
    after = store.sample(20, np.random.default_rng(0))
    np.testing.assert_array_equal(after.glimpses, before.glimpses)
    assert after.gaze.any()


def test_all_that_are_kept_are_drawn_alike_often():
    store = SequenceStore(8)
    store.add(numbered(0, 5))
    counts = np.bincount(store.sample(5000, np.random.default_rng(0)).labels)
    assert len(counts) == 5 and counts.min() > 850 and counts.max() < 1150


def test_an_empty_store_gives_nothing_and_none_has_no_room():
    with pytest.raises(ValueError, match="the store is empty"):
        SequenceStore(3).sample(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="0 episodes; wanted at least 1"):
        SequenceStore(0)


def test_parts_are_joined_in_their_order():
    parts = [numbered(0, 3), numbered(3, 1), numbered(4, 2)]
    whole = join(parts)
    np.testing.assert_array_equal(whole.labels, np.arange(6))
    np.testing.assert_array_equal(whole.glimpses[3], parts[1].glimpses[0])


# ---- the collector ----


def collect(n: int, strategy: Any = None, seed: int = 0, **parts: Any) -> Sequences:
    return Collector(config(**parts), strategy or Uniform(), seed, lanes=16).collect(n)


def shown(settings: GlimpseConfig, episodes: Sequences) -> np.ndarray:
    """Which image of the split each episode read throughout, -1 for none."""
    images, found = settings.shown_split.images, np.full(len(episodes.labels), -1)
    budget = episodes.gaze.shape[1]
    for row, (glimpses, gaze) in enumerate(zip(episodes.glimpses, episodes.gaze, strict=True)):
        readings = np.stack(
            [settings.sensor(images, gaze[None, t].repeat(len(images), 0)) for t in range(budget)],
            axis=1,
        )
        same = (readings == glimpses).all((1, 2, 3, 4)).nonzero()[0]
        found[row] = same[0] if len(same) else -1
    return found


@pytest.mark.parametrize("scheme", ["MultiCategorical", "Saccade"])
def test_a_collector_gives_whole_episodes_of_the_train_split(scheme):
    watcher = classifier("feedforward") if scheme == "Saccade" else None
    settings = config(scheme=scheme, classifier=watcher)
    episodes = Collector(settings, Uniform(), 0, lanes=16).collect(40)
    assert len(episodes.labels) == 40 and (episodes.counts == settings.budget).all()
    rows = shown(settings, episodes)
    assert rows.min() >= 0
    np.testing.assert_array_equal(settings.shown_split.labels[rows], episodes.labels)
    assert len(set(rows)) > 20


def test_the_first_gaze_is_the_environments_and_the_others_the_strategys():
    gazes = ((0.25, 0.25, 1.0), (0.75, 0.25, 1.0))
    episodes = collect(16, Fixed(gazes))
    wanted = np.float32([(0.5, 0.5, 0.0), *gazes])
    np.testing.assert_array_equal(episodes.gaze, np.tile(wanted, (16, 1, 1)))


def test_a_collector_goes_on_with_other_images_and_repeats_by_seed():
    collector = Collector(config(), Uniform(), 3, lanes=16)
    first, second = collector.collect(32), collector.collect(32)
    assert not np.array_equal(first.labels, second.labels)
    again = collect(32, seed=3)
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first.gaze, collect(32, seed=4).gaze)


def test_what_a_collector_has_played_too_much_is_given_next_time():
    collector = Collector(config(), Uniform(), 3, lanes=16)
    parts = join([collector.collect(10), collector.collect(22)])
    for ours, theirs in zip(parts, collect(32, seed=3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- passes ----


@pytest.mark.parametrize("lanes", [16, 144, 200])
def test_each_image_is_shown_once_in_each_pass_in_another_order(lanes):
    settings = config()
    n = len(settings.shown_split)
    assert n == 144
    collector = Collector(settings, Uniform(), 0, lanes=lanes)
    passes = [shown(settings, collector.collect(n)) for _ in range(3)]
    for rows in passes:
        np.testing.assert_array_equal(np.sort(rows), np.arange(n))
    assert not np.array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[0], np.arange(n))


MIRRORING = {"type": "ShiftFlip", "shift": 0, "flip": True}


def mirrored(episodes: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Which image each episode read, and whether as its mirror image."""
    plain = config()
    sides = [plain.shown_split.images, plain.shown_split.images[:, :, ::-1]]
    gaze = episodes.gaze[:, 0]
    found = np.full((2, len(gaze)), -1)
    for row, glimpse in enumerate(episodes.glimpses[:, 0]):
        for side, images in enumerate(sides):
            seen = plain.sensor(np.ascontiguousarray(images), gaze[[row]].repeat(len(images), 0))
            same = (seen == glimpse).all((1, 2, 3)).nonzero()[0]
            found[side, row] = same[0] if len(same) else -1
    assert ((found >= 0).sum(axis=0) == 1).all()
    return found.max(axis=0), found[1] >= 0


def sides_by_image(collector: Collector) -> np.ndarray:
    """Whether each image is mirrored in the next pass, bool (n,)."""
    rows, sides = mirrored(collector.collect(144))
    np.testing.assert_array_equal(np.sort(rows), np.arange(144))
    return sides[np.argsort(rows)]


def test_each_image_is_mirrored_in_exactly_one_of_two_passes():
    collector = Collector(config(augment=MIRRORING), Uniform(), 0, lanes=32)
    passes = [sides_by_image(collector) for _ in range(4)]
    np.testing.assert_array_equal(passes[0], ~passes[1])
    np.testing.assert_array_equal(passes[0], passes[2])
    np.testing.assert_array_equal(passes[1], passes[3])
    assert 0.35 < passes[0].mean() < 0.65


@pytest.mark.parametrize(("begun", "like"), [(0, 0), (143, 0), (144, 1), (287, 1), (288, 0)])
def test_a_collector_that_goes_on_shows_the_sides_of_its_pass(begun, like):
    settings = config(augment=MIRRORING)
    collector = Collector(settings, Uniform(), 0, lanes=32)
    passes = [sides_by_image(collector) for _ in range(2)]
    later = Collector(settings, Uniform(), 5, lanes=32, begun=begun)
    np.testing.assert_array_equal(sides_by_image(later), passes[like])


def test_without_flips_nothing_is_mirrored():
    _, sides = mirrored(collect(288, augment={**MIRRORING, "flip": False}))
    assert not sides.any()


def test_shifts_differ_from_pass_to_pass():
    """The streams are new ones but for the bit that mirrors."""
    augment = {"type": "ShiftFlip", "shift": 3}
    collector = Collector(config(augment=augment), Grid(1), 0, lanes=144)
    first, second = collector.collect(144), collector.collect(144)
    counts = np.array([len(set(map(bytes, part.glimpses[:, 0]))) for part in (first, second)])
    both = {bytes(glimpse) for part in (first, second) for glimpse in part.glimpses[:, 0]}
    assert len(both) > 1.5 * counts.min()  # of 49 shifts few come twice


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_collector_of_another_split_shows_its_images_as_they_are(split):
    settings = config(split=split, augment={**MIRRORING, "shift": 3})
    n = len(settings.shown_split)
    rows = shown(settings, Collector(settings, Uniform(), 0, lanes=7).collect(n))
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))


def test_what_is_collected_is_augmented():
    episodes = collect(64, Grid(1), augment={"type": "ShiftFlip", "shift": 3})
    assert (shown(config(), episodes) < 0).mean() > 0.7


def test_a_collector_leaves_the_agents_classifier_alone():
    class Silent:
        n_classes, hidden_size = 4, 0
        calls = 0

        def start(self, n: int) -> np.ndarray:
            return np.zeros((n, 0), np.float32)

        def update(self, state: np.ndarray, glimpse: np.ndarray, gaze: np.ndarray) -> tuple:
            self.calls += 1
            return state, np.full((len(state), 4), 0.25, np.float32), state

    watcher = Silent()
    settings = config(classifier=watcher)
    before = watcher.calls
    Collector(settings, Uniform(), 0, lanes=4).collect(8)
    assert watcher.calls == before
