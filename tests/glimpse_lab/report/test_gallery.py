"""The gallery: chosen by rules alone, and drawn from the images that were shown."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.sb3 import registered_kwargs
from glimpse_envs.strategies import Uniform
from glimpse_lab.evaluation.rollout import evaluate_gaze, reread
from glimpse_lab.report.gallery import choose, draw_gallery
from policies.classifier.model import TorchClassifier, View

#: eight episodes of two classes: label, answer, glimpses of 3, and belief in class 1 after each
EPISODES = (
    (1, 1, 3, (0.2, 0.4, 0.9)),  # 0 right, first wrong
    (1, 1, 2, (0.1, 0.6)),  # 1 right, first more wrong, least sure
    (1, 0, 3, (0.9, 0.5, 0.3)),  # 2 wrong, first right
    (0, 1, 2, (0.6, 0.99)),  # 3 surest mistake
    (1, 1, 1, (0.95,)),  # 4 right at once
    (0, -1, 3, (0.6, 0.5, 0.5)),  # 5 no answer
    (0, 0, 2, (0.4, 0.3)),  # 6 right
    (0, 0, 3, (0.3, 0.2, 0.1)),  # 7 right
)


def made(beliefs: bool = True) -> Scanpaths:
    n, budget = len(EPISODES), 3
    believed = np.full((n, budget, 2 if beliefs else 0), np.nan, np.float32)
    answers = np.full((n, budget), -1)
    for i, (_, answer, glimpses, ones) in enumerate(EPISODES):
        if beliefs:
            believed[i, :glimpses, 1] = ones
            believed[i, :glimpses, 0] = 1 - np.array(ones)
        answers[i, glimpses - 1 :] = answer
    glimpses = np.array([episode[2] for episode in EPISODES])
    gaze = np.full((n, budget, 3), 0.5, np.float32)
    gaze[np.arange(budget) >= glimpses[:, None]] = np.nan
    return Scanpaths(
        labels=np.array([episode[0] for episode in EPISODES]),
        predictions=np.array([episode[1] for episode in EPISODES]),
        n_glimpses=glimpses,
        samples=64 * glimpses,
        coverage=np.ones(n, np.float32),
        rewards=np.zeros(n, np.float32),
        answers=answers,
        pixels=2304,
        gaze=gaze,
        windows=gaze,
        seen=gaze[:, :, 0],
        beliefs=believed,
        step_rewards=gaze[:, :, 0],
        hidden=np.zeros((n, budget, 0), np.float32),
    )


def test_episodes_are_chosen_by_the_rules() -> None:
    paths = made()
    groups = {group.title: group for group in choose(paths, each=1)}
    taken = {title: int(group.rows[0]) for title, group in groups.items()}
    assert taken["Right, at random"] in (0, 1, 4, 6, 7)
    assert taken["Wrong, at random"] in (2, 3, 5)
    left = set(range(8)) - {taken["Right, at random"], taken["Wrong, at random"]}
    sure = {3: 0.99, 2: 0.7}  # belief in the answer of the mistakes
    assert taken["Surest mistakes"] == max(left & sure.keys(), key=sure.get)
    left -= {taken["Surest mistakes"]}
    right = {0: 0.9, 1: 0.6, 4: 0.95, 6: 0.7, 7: 0.9}
    assert taken["Least sure and yet right"] == min(left & right.keys(), key=right.get)
    for title, group in groups.items():
        failed = (paths.predictions[group.rows] != paths.labels[group.rows]).all()
        if title not in ("Fewest glimpses", "Most glimpses"):
            assert group.failures == failed


def test_looking_again_shows_those_who_changed_their_mind() -> None:
    groups = {group.title: group.rows.tolist() for group in choose(made(), each=8)}
    shown = [row for rows in groups.values() for row in rows]
    assert sorted(shown) == list(range(8))  # each once
    # with room for all, the first groups take everything
    assert sorted(groups["Right, at random"]) == [0, 1, 4, 6, 7]
    assert sorted(groups["Wrong, at random"]) == [2, 3, 5]
    wanted = {"Another glimpse helped": {0, 1}, "Another glimpse misled": {2}}
    for seed in range(40):
        groups = {group.title: group.rows.tolist() for group in choose(made(), each=1, seed=seed)}
        for title, rows in wanted.items():
            assert set(groups.get(title, [])) <= rows
        if {0, 1} <= set(range(8)) - {groups["Right, at random"][0]} and groups[
            "Least sure and yet right"
        ] not in ([0], [1]):
            assert groups["Another glimpse helped"] == [1]


def test_the_choice_repeats_by_seed_and_shows_no_episode_twice() -> None:
    one, same, other = (choose(made(), each=2, seed=seed) for seed in (1, 1, 2))
    assert [g.rows.tolist() for g in one] == [g.rows.tolist() for g in same]
    assert [g.rows.tolist() for g in one] != [g.rows.tolist() for g in other]
    rows = np.concatenate([group.rows for group in one])
    assert len(np.unique(rows)) == len(rows)


def test_without_beliefs_only_what_needs_none_is_left() -> None:
    titles = [group.title for group in choose(made(beliefs=False), each=1)]
    assert titles == ["Right, at random", "Wrong, at random", "Fewest glimpses", "Most glimpses"]
    shortest, longest = choose(made(beliefs=False), each=1)[2:]
    paths = made()
    assert paths.n_glimpses[shortest.rows[0]] <= 2 and paths.n_glimpses[longest.rows[0]] == 3


# ---- pictures of what was shown ----


def config(split: str = "test", **changes: object) -> GlimpseConfig:
    plain = make_config(**registered_kwargs("GlimpseDigits-Saccade-v0") | {
        "scheme": "MultiCategorical", "split": split, "budget": 3, **changes
    })  # fmt: skip
    return replace(plain, classifier=TorchClassifier(View.of(plain), "gru", hidden_size=8))


@pytest.mark.parametrize("split", ["train", "test"])
def test_looking_again_gives_what_was_seen(split: str) -> None:
    """Beside the lanes of a simulation that took the same gazes."""
    settings = config(split)
    images = np.array([9, 4, 700, 30]) % len(settings.shown_split)
    paths = evaluate_gaze(Uniform(), settings, index=images)
    rows = np.array([2, 0])
    shown = reread(paths, settings, rows, index=images)
    core = GlimpseCore(settings, 4)
    core.seed_all(0)
    first = core.reset(core.lanes, images)["glimpse"]
    for i, row in enumerate(rows):
        assert np.array_equal(shown.images[i], core.image(row))
        assert np.array_equal(shown.glimpses[i, 0], first[row])
    core.gaze[:] = paths.gaze[:, 2]
    assert np.array_equal(shown.glimpses[0, 2], core.glimpse(2))


def test_other_images_than_those_of_the_recording_are_refused() -> None:
    settings = config()
    paths = evaluate_gaze(Uniform(), settings, index=np.arange(6))
    with pytest.raises(ValueError, match="6 episodes"):
        reread(paths, settings, [0])
    with pytest.raises(ValueError, match="another label"):
        reread(paths, settings, np.arange(6), index=np.arange(100, 106))
    with pytest.raises(ValueError, match="budget of 4"):
        reread(paths, replace(settings, budget=4), [0], index=6)


def test_every_chosen_episode_gets_a_picture_and_a_sentence() -> None:
    settings = config()
    paths = evaluate_gaze(Uniform(), settings, index=40)
    gallery = draw_gallery(paths, settings, choose(paths, each=1), index=40)
    assert [len(pictures) for pictures in gallery.pictures] == [1] * len(gallery.groups)
    for group, (picture,) in zip(gallery.groups, gallery.pictures, strict=True):
        with Image.open(io.BytesIO(picture.png)) as opened:
            assert opened.format == "PNG" and min(opened.size) > 200
        row = group.rows[0]
        assert f"Test image {row}: truth {paths.labels[row]}" in picture.caption
        right = paths.predictions[row] == paths.labels[row]
        assert ("(right)" if right else "(wrong)") in picture.caption
        assert len(picture.png) < 60_000
