"""Table 1 of the saccader internship report, run again: which reward teaches saccades best.

    python benchmarks/saccader_table.py [--seeds 0 1 2] [--jobs 2] [--out saccader_table.jsonl]

Source: Yax, Doerig and Kietzmann, "Toward machines that see like us", Table 1: MNIST, a 9 x 9 crop,
six glimpses, the first at the middle; a classifier (feed-forward or recurrent) that learns beside a
PPO saccader which reads its hidden layer; accuracy on train and test images after 100,000 images.
Here an image is an episode, and the classifier sees each of them ``--epochs`` times. Its table
gives the extra rows to the reward at each step, its text to the reward at the end: both are run.

Two baselines look at the middle and at random places, with classifiers of their own trained on as
many episodes along just that gaze. Finished rows are kept in the file, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3 import PPO
from tqdm import tqdm

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_envs.strategies import Centre, Walk
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze
from glimpse_lab.versions import git_commit
from policies import CoTrainingCallback, GlimpsePolicy
from policies.classifier.trainer import Fitter, pretrain

ENV_ID = "GlimpseMNIST-Saccade-v0"
EPISODES = 100_000
BATCH = 64  # episodes of an update of the classifier
EVALUATED = 10_000  # images of the train and of the test split
LOW, MEDIUM = 5e-5, 1e-3  # learning rates of the report
CLASSIFIERS = {
    "feed-forward": {"type": "feedforward", "encoder": "mlp", "hidden_size": 128},
    "recurrent": {"type": "gru", "encoder": "mlp", "hidden_size": 128, "code_size": 128},
}

#: (reward, gamma, learning rate) to what the report says: feed-forward, recurrent; train/test %
PUBLISHED: dict[tuple[str, float | None, float | None], tuple[str, str]] = {
    ("centre gaze", None, None): ("80/80", "88/86"),
    ("random gaze", None, None): ("28/28", "44/44"),
    ("Terminal", 0.9, LOW): ("77/75", "90/90"),
    ("Terminal", 0.9, MEDIUM): ("", ""),
    ("Terminal", 0.99, LOW): ("", ""),
    ("Terminal", 0.99, MEDIUM): ("", ""),
    ("PerStep", 0.9, LOW): ("79/79", "91/89"),
    ("PerStep", 0.9, MEDIUM): ("83/77", "92/92"),
    ("PerStep", 0.99, LOW): ("84/75", "91/90"),
    ("PerStep", 0.99, MEDIUM): ("87/79", "94/91"),
    ("NegativeCrossEntropy", 0.9, LOW): ("63/54", "89/84"),
    ("InverseCrossEntropy", 0.9, LOW): ("77/61", "90/89"),
}


def train_saccader(job: dict[str, Any]) -> tuple[PPO, GlimpseConfig]:
    """Return a saccader and its environment after the job's episodes."""
    env = GlimpseVecEnv(
        ENV_ID,
        128,
        reward=job["name"],
        observe_classifier_features=True,
        classifier={**CLASSIFIERS[job["classifier"]], "seed": job["seed"]},
    )
    model = PPO(
        GlimpsePolicy,
        env,
        n_steps=20,
        batch_size=640,
        n_epochs=4,
        gamma=job["gamma"],
        learning_rate=job["learning_rate"],
        ent_coef=0.0,
        policy_kwargs={
            "features_extractor_kwargs": {"encoder": "none"},
            "log_std_init": -1.0,
            "action_gain": 1.0,
        },
        seed=job["seed"],
        device="cpu",
    )
    callback = CoTrainingCallback(
        pretraining=0,
        epochs=job["epochs"],
        random_share=0.0,
        capacity=10_000,
        batch_size=BATCH,
        handover=1.0,
    )
    model.learn(job["episodes"] * (env.config.budget - 1), callback=callback)
    return model, env.config


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Return the job with its accuracies."""
    th.set_num_threads(1)
    begin = time.perf_counter()
    if job["gamma"] is None:
        kwargs = {**registered_kwargs(ENV_ID), "classifier": CLASSIFIERS[job["classifier"]]}
        kwargs["classifier"] = {**kwargs["classifier"], "seed": job["seed"]}
        config = make_config(**kwargs)
        strategy = Centre() if job["name"] == "centre gaze" else Walk()
        fitter = Fitter(config.classifier, seed=job["seed"])
        n = int(job["episodes"] * job["epochs"])
        seed = job["seed"]
        for _ in pretrain(fitter, config, strategy, n, batch_size=BATCH, seed=seed, progress=False):
            pass
        results = {
            split: evaluate_gaze(strategy, replace(config, split=split), index=EVALUATED)
            for split in ("train", "test")
        }
    else:
        model, config = train_saccader(job)
        results = {
            split: evaluate(model, replace(config, split=split), index=EVALUATED)
            for split in ("train", "test")
        }
    accuracy = {
        split: float(np.mean(episodes.predictions == episodes.labels))
        for split, episodes in results.items()
    }
    coverage = float(results["test"].coverage.mean())
    return {**job, **accuracy, "coverage": coverage, "seconds": time.perf_counter() - begin}


def jobs(seeds: list[int], episodes: int, epochs: float) -> Iterator[dict[str, Any]]:
    """Yield one job for each row, classifier and seed."""
    for seed in seeds:
        for name, gamma, rate in PUBLISHED:
            for classifier in CLASSIFIERS:
                yield {
                    "name": name,
                    "gamma": gamma,
                    "learning_rate": rate,
                    "classifier": classifier,
                    "seed": seed,
                    "episodes": episodes,
                    "epochs": epochs,
                }


def finished(file: Path) -> list[dict[str, Any]]:
    """Return the rows that are kept in the file; a last line that was cut short is passed over."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a markdown table: mean over seeds (and the range of the test accuracy)."""
    lines = [
        "| reward | gamma | learning rate | feed-forward | published | recurrent | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, gamma, rate), published in PUBLISHED.items():
        cells = []
        for classifier, figure in zip(CLASSIFIERS, published, strict=True):
            key = (name, gamma, rate, classifier)
            fields = ("name", "gamma", "learning_rate", "classifier")
            found = [row for row in rows if tuple(row[field] for field in fields) == key]
            if not found:
                cells += ["", figure]
                continue
            train, test = ([100 * row[split] for row in found] for split in ("train", "test"))
            span = f" ({min(test):.1f} to {max(test):.1f})" if len(test) > 1 else ""
            cells += [f"{np.mean(train):.1f}/{np.mean(test):.1f}{span}", figure]
        settings = ["" if value is None else f"{value:g}" for value in (gamma, rate)]
        lines.append(f"| {' | '.join([name, *settings, *cells])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=EPISODES, help="default: %(default)s")
    parser.add_argument(
        "--epochs", type=float, default=1.0, help="of the classifier; default: %(default)s"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("saccader_table.jsonl"))
    args = parser.parse_args()
    wanted = list(jobs(args.seeds, args.episodes, args.epochs))
    rows = finished(args.out)
    done = [{key: row.get(key) for key in wanted[0]} for row in rows]
    left = [job for job in wanted if job not in done]
    broken = args.out.exists() and not args.out.read_text().endswith("\n")
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, job) for job in left]
        try:
            for future in tqdm(as_completed(futures), total=len(left), unit=" runs"):
                rows.append({**future.result(), "git": git_commit()})
                with args.out.open("a") as file:
                    if broken:
                        file.write("\n")
                    file.write(json.dumps(rows[-1]) + "\n")
                broken = False
        except BaseException:  # a failed run, Ctrl-C: the finished ones are kept
            pool.shutdown(cancel_futures=True)
            raise
    keys = [{key: row[key] for key in wanted[0]} for row in rows]
    print(table([row for row, key in zip(rows, keys, strict=True) if key in wanted]))


if __name__ == "__main__":
    main()
