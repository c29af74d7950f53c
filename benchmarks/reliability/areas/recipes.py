"""Recipes in YAML."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import Box, Case, check, either, refused, symlink, works

from areas.command_line import train
from glimpse_lab import resolve_config

ENV = "GlimpseDigits-MultiCat-v0"
BASE = {
    "env_kwargs": "{budget: 3}",
    "n_envs": "4",
    "n_timesteps": "64",
    "policy": "policies.GlimpsePolicy",
    "n_steps": "8",
    "batch_size": "16",
    "n_epochs": "1",
}
TRAIN = train("--env", ENV, "--recipe", "ppo.yml", "--no-video")
LONG = 200_000


def recipe(entry: str = "", **keys: str) -> Callable[[Box], Path]:
    """Return what writes a recipe of one environment with other keys."""
    lines = [f"  {key}: {value}" for key, value in {**BASE, **keys}.items()]
    return lambda box: box.text("ppo.yml", "\n".join([f"{ENV}:", *lines, entry, ""]))


def file(content: str | bytes) -> Callable[[Box], Path]:
    """Return what writes a whole file of recipes."""
    return lambda box: box.text("ppo.yml", content)


def read(what: str, right: Callable[[Any], bool]) -> Callable[[Box], str]:
    """Return a check of the resolved configuration."""

    def do(box: Box) -> str:
        return check(right(resolve_config(ENV, Path("ppo.yml"))), what)

    return do


def _bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join([*lines, f"{ENV}: *i", ""])


_VALUES = {
    "n_envs": ["-1", "1.5", "many", "[4]", "null", ".nan", "1e300", "true"],
    "n_timesteps": ["yes", "-64", ".inf", "2026-11-27", "{a: 1}", "9" * 400],
    "n_steps": ["0", "eight", "1e99", "1_000_000_000"],
    "batch_size": ["1", "0x", ".inf", "[16]"],
    "n_epochs": ["0", "-2", "1.5"],
    "learning_rate": ["0", "-.inf", "lin_", "lin_x", "lin_nan", "exp_3e-4", "[1e-3]", "true"],
    "gamma": ["1.01", "-0.1", "high", ".nan"],
    "gae_lambda": ["2", "~"],
    "clip_range": ["0", "lin_-1", "{}"],
    "ent_coef": ["-1", "auto"],
    "target_kl": ["0", "small"],
    "policy": [
        "5",
        "[]",
        "os.system",
        "policies.NoSuchPolicy",
        "policies.EpsilonGreedy",
        "CnnPolicy",
        "''",
    ],
    "policy_kwargs": [
        "5",
        "[1, 2]",
        "{net_arch: [0]}",
        "{net_arch: [64.5]}",
        "{net_arch: {pi: 64}}",
        "{net_arch: {actor: [64]}}",
        "{activation_fn: os.system}",
        "{activation_fn: nn.Linear}",
        "{activation_fn: 3}",
        "{ortho_init: maybe}",
        "{features_extractor_kwargs: {encoder: vgg}}",
        "{features_extractor_kwargs: {encoder: 'torchvision:nothing'}}",
        "{features_extractor_kwargs: {glimpse_dim: -1}}",
        "{features_extractor_kwargs: [cnn]}",
        "{features_extractor_class: policies.GlimpsePolicy}",
        "{features_extractor_class: policies.ViTExtractor, features_extractor_kwargs: {patch: 3}}",
        "{no_such_argument: 1}",
        '\'dict(net_arch=__import__("os").system("touch BOX"))\'',
        "'dict(net_arch=[64)'",
        "{optimizer_kwargs: {lr: .nan}}",
        "{optimizer_kwargs: {weight_decay: -1}}",
        "{optimizer_kwargs: {betas: [2, 3]}}",
    ],
    "callback": [
        "5",
        "[[policies.PackedSequences]]",
        "{policies.CoTrainingCallback: 5}",
        "{policies.CoTrainingCallback: {pretraining: -1}}",
        "{policies.CoTrainingCallback: {batch_size: 1}}",
        "{policies.CoTrainingCallback: {gaze: Nowhere}}",
        "{policies.CoTrainingCallback: {learning_rate: fast}}",
        "policies.CoTrainingCallback",
        "policies.EpsilonGreedy",
        "policies.CACLA",
        "policies.PackedSequences",
        "policies.",
        "stable_baselines3.common.callbacks.EvalCallback",
        "stable_baselines3.common.callbacks.BaseCallback",
        "glimpse_lab.ScanpathImages: {n_images: 0}",
        "{glimpse_lab.ScanpathImages: {n_images: 0}}",
        "{stable_baselines3.common.callbacks.StopTrainingOnMaxEpisodes: {max_episodes: x}}",
    ],
    "env_kwargs": [
        "5",
        "[budget]",
        "{budget: 0}",
        "{budget: 10001}",
        "{budgets: 3}",
        "{5: 3}",
        "{start: anywhere}",
        "{split: trainn}",
        "{scene_seed: -1}",
        "{sensor: 5}",
        "{sensor: {type: Crop, size: 4000}}",
        "{sensor: {type: Retina, scales: 0}}",
        "{scene: {type: ClutteredCanvas, side: 100000}}",
        "{scene: {type: TranslatedCanvas, side: 2}}",
        "{scheme: {type: GreedyMap, stride: .nan}}",
        "{reward: {type: Sum, terms: []}}",
        "{reward: {type: Sum, terms: [Terminal], weights: [1, 2]}}",
        "{reward: {type: GlimpseCost, cost: .inf}}",
        "{reward: InformationGain}",
        "{classifier: {type: canvas, width: 0}}",
        "{classifier: {type: file, path: /dev/zero}}",
        "{classifier: {type: file}}",
        "{classifier: {type: lstm, hidden_size: big}}",
        "{augment: {type: ShiftFlip, shift: 99}}",
        "{observe_history: 'no'}",
        "{dataset: {type: folder, path: x, size: 0}}",
    ],
    "normalize": ["true", "'dict(norm_obs=True)'"],
    "frame_stack": ["4"],
    "env_wrapper": ["[gymnasium.wrappers.TimeLimit]"],
    "no_such_key": ["1"],
    "42": ["1"],
    "seed": ["5"],
    "tensorboard_log": ["BOX"],
}

CASES: list[Case] = [
    *(
        refused(
            f"{key}: {value if len(value) < 60 else value[:60] + '...'}",
            TRAIN,
            recipe(**{key: value}),
        )
        for key, values in _VALUES.items()
        for value in values
    ),
    refused("an empty file", TRAIN, file("")),
    refused("a comment alone", TRAIN, file("# nothing\n")),
    refused("a list", TRAIN, file(f"- {ENV}\n")),
    refused("a number", TRAIN, file("5")),
    refused("a recipe that is a text", TRAIN, file(f"{ENV}: fast\n")),
    refused("a recipe that is null", TRAIN, file(f"{ENV}:\n")),
    refused("another environment's recipe", TRAIN, file("CartPole-v1: {n_envs: 4}\n")),
    refused("tabs", TRAIN, file(f"{ENV}:\n\tn_envs: 4\n")),
    refused("two documents", TRAIN, file(f"{ENV}: {{}}\n---\n{ENV}: {{}}\n")),
    refused("an alias bomb", TRAIN, file(_bomb())),
    refused("an anchor that holds itself", TRAIN, file(f"{ENV}: &a [*a]\n")),
    refused("an alias without an anchor", TRAIN, file(f"{ENV}: *nobody\n")),
    refused("10,000 brackets", TRAIN, file(f"{ENV}: {'[' * 10_000}")),
    refused("40 levels", TRAIN, file(f"{ENV}: {'{a: ' * 40}1{'}' * 40}")),
    refused("an integer of 200,000 digits", TRAIN, file(f"{ENV}: {{n_envs: {'1' * LONG}}}")),
    refused("a base-60 integer", TRAIN, recipe(n_envs="1:30:00:00")),
    refused("a key that is a list", TRAIN, file(f"{ENV}: {{[1]: 2}}\n")),
    refused("the same key twice", TRAIN, recipe("  n_envs: 8")),
    refused(
        "the same environment twice", TRAIN, file(f"{ENV}: {{n_envs: 4}}\n{ENV}: {{n_envs: 8}}\n")
    ),
    refused("a merge of a number", TRAIN, recipe("  <<: 5")),
    refused("!!python/object", TRAIN, recipe(gamma="!!python/object/apply:os.mkdir [outside]")),
    refused("!!binary", TRAIN, recipe(n_envs="!!binary aGVsbG8=")),
    refused("!!set", TRAIN, recipe(policy_kwargs="!!set {net_arch}")),
    refused("!!int of a word", TRAIN, recipe(n_envs="!!int four")),
    refused("an impossible date", TRAIN, recipe(n_envs="2026-02-31")),
    refused("Latin-1", TRAIN, file(f"# caf\xe9\n{ENV}: {{}}\n".encode("latin-1"))),
    refused("null bytes", TRAIN, file(b"\0" * 100)),
    refused("a zip file", TRAIN, file(b"PK\x03\x04" + bytes(range(256)))),
    refused("two megabytes", TRAIN, file("# x\n" * 500_000)),
    refused("a folder named ppo.yml", TRAIN, lambda box: (box.work / "ppo.yml").mkdir()),
    refused("a pipe", TRAIN, lambda box: os.mkfifo(box.work / "ppo.yml"), limit=30),
    refused("a link to itself", TRAIN, lambda box: symlink(box.work / "ppo.yml", "ppo.yml")),
    refused("a link to /dev/zero", TRAIN, lambda box: symlink(box.work / "ppo.yml", "/dev/zero")),
    works(
        "a byte order mark",
        read("4 lanes", lambda made: made.recipe["n_envs"] == 4),
        lambda box: box.text("ppo.yml", b"\xef\xbb\xbf" + recipe()(box).read_bytes()),
    ),
    works(
        "UTF-16",
        read("4 lanes", lambda made: made.recipe["n_envs"] == 4),
        lambda box: box.text("ppo.yml", recipe()(box).read_text().encode("utf-16")),
    ),
    works(
        "line ends of Windows",
        read("4 lanes", lambda made: made.recipe["n_envs"] == 4),
        lambda box: box.text("ppo.yml", recipe()(box).read_bytes().replace(b"\n", b"\r\n")),
    ),
    works(
        "3e-4 without a point",
        read("a number", lambda made: made.recipe["learning_rate"] == 3e-4),
        recipe(learning_rate="3e-4"),
    ),
    works(
        "!!float 1e5 and lin_1e-3, rl_zoo3's spellings",
        read("100,000", lambda made: made.n_timesteps == 100_000 and type(made.n_timesteps) is int),
        recipe(n_timesteps="!!float 1e5", learning_rate="lin_1e-3"),
    ),
    works(
        "dict(...) of rl_zoo3",
        read(
            "a mapping",
            lambda made: made.recipe["policy_kwargs"] == {"net_arch": [8, 8], "ortho_init": False},
        ),
        recipe(policy_kwargs='"dict(net_arch=[8, 8], ortho_init=False)"'),
    ),
    works(
        "normalize: false",
        read("left out", lambda made: "normalize" not in made.recipe),
        recipe(normalize="false"),
    ),
    works(
        "an anchor and a merge",
        read("n_steps merged", lambda made: made.recipe["n_steps"] == 8 and made.n_envs == 2),
        file(
            f"defaults: &d {{n_envs: 4, n_steps: 8, n_timesteps: 64, policy: MultiInputPolicy}}\n"
            f"{ENV}:\n  <<: *d\n  n_envs: 2\n"
        ),
    ),
    works(
        "an octal 010 is 8",
        read("8 of YAML 1.1", lambda made: made.n_envs == 8),
        recipe(n_envs="010"),
    ),
    either(
        "a whole number with a point",
        read("4 as an integer", lambda made: made.n_envs == 4 and type(made.n_envs) is int),
        recipe(n_envs="4.0"),
    ),
]
