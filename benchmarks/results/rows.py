"""The tables: for each a frozen value of one row, its members the columns.

A column may be empty where its type says ``| None``: that was not measured, or is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.results.columns import (
    Amount,
    Classifier,
    Commit,
    Count,
    Difference,
    Env,
    Gaze,
    Number,
    SeedList,
    Share,
    Slug,
    Split,
    Text,
    ToldBy,
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table.

    :cvar KEY: columns that tell a row from all others
    """

    KEY: ClassVar[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class RunRow(Row):
    """One evaluation of a trained agent, or the mean over seeds of several.

    :param run: name of the training
    :param group: of runs that differ in the seed alone
    :param command: that trained, or that evaluated with another budget
    :param commit: of the code that trained
    :param budget: the most glimpses, in training
    :param eval_budget: the most glimpses, where the evaluation has others
    :param timesteps: of the training, where they are not the recipe's
    :param ci_low: 95 % interval: Wilson's over the images, for several seeds Student's t over these
    :param pixel_share: samples over pixels of the image
    :param coverage: share of the area that was seen
    :param random_gaze: accuracy of the same agent with its moves drawn at random
    :param wall_minutes: that the training took by the clock
    :param core_minutes: of processor time, pretraining included
    """

    KEY = ("run", "split", "eval_budget")
    run: Slug
    group: Slug
    env: Env
    command: Text
    commit: Commit | None
    seed: SeedList
    dataset: Text
    split: Split
    n_images: Count
    budget: Count | None
    eval_budget: Count | None
    timesteps: Count | None
    accuracy: Share
    ci_low: Share | None
    ci_high: Share | None
    mean_glimpses: Amount | None
    mean_samples: Amount | None
    pixel_share: Share | None
    coverage: Share | None
    random_gaze: Share | None
    wall_minutes: Amount | None
    core_minutes: Amount | None
    note: Text | None


@dataclass(frozen=True, kw_only=True)
class GazeRow(Row):
    """A gaze beside that of a run's agent.

    :param classifier: "equally trained" on this gaze, or the agent's own
    :param commit: of the code that measured
    :param mean_glimpses: at which its accuracy is taken
    :param lead: the agent's accuracy less that of the gaze at as many glimpses, image by image
    """

    KEY = ("run", "gaze", "classifier")
    run: Slug
    gaze: Gaze
    classifier: Classifier
    commit: Commit | None
    n_images: Count
    accuracy: Share
    ci_low: Share | None
    ci_high: Share | None
    mean_glimpses: Amount
    mean_samples: Amount | None
    pixel_share: Share | None
    lead: Difference | None
    lead_low: Difference | None
    lead_high: Difference | None
    note: Text | None


@dataclass(frozen=True, kw_only=True)
class CurveRow(Row):
    """The accuracy after so many glimpses, of an agent or of an equally trained gaze."""

    KEY = ("run", "gaze", "n_glimpses")
    run: Slug
    gaze: Gaze
    n_glimpses: Count
    accuracy: Share


@dataclass(frozen=True, kw_only=True)
class PublishedRow(Row):
    """What others published for a task, beside a run of ours.

    :param error: share of wrong answers
    """

    KEY = ("run", "source")
    run: Slug
    setting: Text
    source: Text
    error: Share


@dataclass(frozen=True, kw_only=True)
class SaccaderRow(Row):
    """A line of ``benchmarks/saccader_table.py``: means over seeds, and their range on test."""

    KEY = ("reward", "gamma", "learning_rate", "classifier")
    reward: Text
    gamma: Share | None
    learning_rate: Amount | None
    classifier: Text
    n_seeds: Count
    train: Share
    test: Share
    test_low: Share
    test_high: Share
    published_train: Share | None
    published_test: Share | None


@dataclass(frozen=True, kw_only=True)
class PairsRow(Row):
    """Differences of accuracy between two settings, over pairs of equal seed and other settings.

    :param n_better: pairs in which the first is better
    :param lead_low: the least lead of the first
    """

    KEY = ("question", "classifier")
    question: Text
    classifier: Text
    n_pairs: Count | None
    n_better: Count | None
    lead_low: Difference | None
    lead_high: Difference | None
    mean: Difference | None
    note: Text | None


@dataclass(frozen=True, kw_only=True)
class RobustnessRow(Row):
    """Accuracy on disturbed images, of an agent and of a classifier of the whole image."""

    KEY = ("run", "kind", "strength")
    run: Slug
    kind: Text
    strength: Amount | None
    unit: Text | None
    n_images: Count
    commit: Commit | None
    agent: Share
    agent_low: Share
    agent_high: Share
    full_image: Share
    full_image_low: Share
    full_image_high: Share
    agent_glimpses: Amount


@dataclass(frozen=True, kw_only=True)
class InverseRow(Row):
    """How well the actions between images were told, by a trained agent or beside it.

    :param run: name of the training
    :param group: of runs that differ in the seed alone
    :param told_by: whom the figures are of
    :param command: that trained
    :param commit: of the code that trained
    :param pairs: that the agent was trained with
    :param type_accuracy: share whose type was told; with Wilson's 95 % interval
    :param similarity: that what was told reaches, or at the end of an episode, mean
    :param near: share above 0.95
    :param carried_out: share with the right type and a parameter within a tenth of the true one, or
        a pixel, a degree or a per cent
    :param max_steps: the most actions of an episode
    :param mean_steps: that were taken
    :param core_minutes: of processor time
    """

    KEY = ("run", "told_by")
    run: Slug
    group: Slug
    told_by: ToldBy
    env: Env
    command: Text
    commit: Commit | None
    seed: SeedList
    split: Split
    n_images: Count
    pairs: Count
    type_accuracy: Share
    ci_low: Share
    ci_high: Share
    similarity: Difference
    near: Share
    carried_out: Share
    max_steps: Count
    mean_steps: Amount | None
    core_minutes: Amount | None
    note: Text | None


@dataclass(frozen=True, kw_only=True)
class InverseErrorRow(Row):
    """How far the parameters of one type of actions were from the true ones.

    :param kind: of actions
    :param median: absolute error of the true type's own parameter, whatever type was told
    :param percentile90: nine of ten are smaller
    """

    KEY = ("run", "told_by", "kind")
    run: Slug
    told_by: ToldBy
    kind: Text
    n_images: Count
    type_accuracy: Share
    median: Amount
    percentile90: Amount
    unit: Text


@dataclass(frozen=True, kw_only=True)
class MemoryRow(Row):
    """A memory on the task of recalling after five glimpses what the first one showed.

    :param accuracy_over: all seeds are above it
    :param accuracy_under: all seeds are below it
    """

    KEY = ("memory",)
    memory: Text
    timesteps: Count | None
    seconds: Amount | None
    n_seeds: Count
    accuracy_over: Share | None
    accuracy_under: Share | None


@dataclass(frozen=True, kw_only=True)
class StatisticRow(Row):
    """A number that no other table has a column for.

    :param subject: a run, or the id of an environment
    :param at: when, such as "2 glimpses"
    """

    KEY = ("subject", "statistic", "at", "unit", "note")
    subject: Text
    statistic: Text
    at: Text | None
    value: Number
    unit: Text
    commit: Commit | None
    note: Text | None


#: files of evaluated runs, without ".csv"; a run stands in one of them
RUN_TABLES = ("agents", "variants", "reward_alone", "history")
SUPERSEDED = "history"
#: all files, without ".csv", and what a row of each is
TABLES: dict[str, type[Row]] = {
    **dict.fromkeys(RUN_TABLES, RunRow),
    "gazes": GazeRow,
    "accuracy_by_glimpse": CurveRow,
    "published": PublishedRow,
    "saccader": SaccaderRow,
    "saccader_pairs": PairsRow,
    "robustness": RobustnessRow,
    "inverse": InverseRow,
    "inverse_errors": InverseErrorRow,
    "memory": MemoryRow,
    "statistics": StatisticRow,
}
