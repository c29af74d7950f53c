"""How much the reward of inverse action modelling tells, and how many actions a second it scores.

  python benchmarks/inverse_reward.py --env GlimpseInverseMNIST-v0

By type of the true action: the mean reward of that type by the error of its parameter (as a share
of the largest), and the rank correlation of reward and nearness within an episode. Then how often
the type of the best reward is the true one, of M parameters drawn uniformly for each type, and of a
grid of 41. At last how many actions ``score`` scores in a second of processor time, 40 in each of
128 lanes, best of several repeats. For one core: ``OMP_NUM_THREADS=1 taskset -c 0 python ...``.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

import glimpse_envs  # noqa: F401  # registers the environments
from glimpse_envs.inverse import InverseCore, make_config

GRID = np.linspace(-1.0, 1.0, 41, dtype=np.float32)
ERRORS = (0.0, 0.1, 0.25, 0.5, 1.0)
SAMPLES = (1, 2, 4, 8, 16)
REPEATS = 20


def core_of(env_id: str, n_lanes: int, seed: int, **parts: Any) -> InverseCore:
    """Return lanes of an environment, seeded and reset."""
    config = make_config(**{**gymnasium.spec(env_id).kwargs, **parts})
    core = InverseCore(config, n_lanes)
    core.seed_all(seed)
    core.reset(core.lanes)
    return core


def scores(core: InverseCore, parameters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rewards of every type at every parameter, float32 (B, K, n)."""
    n_types = len(core.config.actions)
    types = np.tile(np.arange(n_types).repeat(len(parameters)), (core.n_lanes, 1))
    tiled = np.tile(np.tile(parameters, n_types), (core.n_lanes, 1))
    return core.score(types, tiled).reshape(core.n_lanes, n_types, -1)


def slope(core: InverseCore, rewards: NDArray[np.float32]) -> list[str]:
    """Return the lines of the table of rewards by error, for each type."""
    lanes = np.arange(core.n_lanes)
    true = rewards[lanes, core.true_types]  # (B, n)
    wanted = core.true_parameters[lanes, core.true_types]
    error = np.abs(GRID - wanted[:, None])
    ranks = [rankdata(rows, axis=1) for rows in (true, -error)]
    ranks = [rows - rows.mean(1, keepdims=True) for rows in ranks]
    norms = np.prod([np.linalg.norm(rows, axis=1) for rows in ranks], axis=0)
    correlation = (ranks[0] * ranks[1]).sum(1) / norms
    lines = [
        "| type | " + " | ".join(f"{e:g}" for e in ERRORS) + " | rank correlation |",
        "|---" * (len(ERRORS) + 2) + "|",
    ]
    for kind, name in enumerate(core.config.actions.names):
        of_kind = core.true_types == kind
        near = [np.abs(error[of_kind] - e) <= 0.026 for e in ERRORS]
        means = [true[of_kind][rows].mean() for rows in near]
        cells = [*(f"{mean:.2f}" for mean in means), f"{correlation[of_kind].mean():.2f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def found(core: InverseCore, rewards: NDArray[np.float32], seed: int) -> list[str]:
    """Return the lines of the table of how often the best reward names the true type."""
    rng = np.random.default_rng(seed)
    wanted = np.abs(core.true_parameters).max(1)
    small = wanted < 0.3
    rows = []
    for n in (*SAMPLES, None):
        hits = []
        for _ in range(REPEATS):
            tried = rewards
            if n is not None:
                chosen = rng.integers(len(GRID), size=(*rewards.shape[:2], n))
                tried = np.take_along_axis(rewards, chosen, 2)
            best, mean = (f(tried, axis=2).argmax(1) == core.true_types for f in (np.max, np.mean))
            hits.append([best.mean(), best[small].mean(), mean.mean()])
        shares = 100.0 * np.mean(hits, axis=0)
        name = "grid of 41" if n is None else str(n)
        rows.append(f"| {name} | " + " | ".join(f"{share:.0f} %" for share in shares) + " |")
    return [
        "| M | best of M | best of M, actions below 0.3 of the largest | mean of M |",
        "|---|---|---|---|",
        *rows,
    ]


def throughput(core: InverseCore, n: int, seed: int) -> float:
    """Return how many actions a second are scored, n in each lane."""
    rng = np.random.default_rng(seed)
    types = rng.integers(len(core.config.actions), size=(core.n_lanes, n))
    parameters = rng.uniform(-1.0, 1.0, types.shape).astype(np.float32)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        core.score(types, parameters)
        seconds.append(time.process_time() - start)
    return types.size / min(seconds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="GlimpseInverseMNIST-v0", help="id")
    parser.add_argument("--images", type=int, default=400, help="of the split")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--similarity", help="by name; otherwise the id's own")
    parser.add_argument("--sigmas", type=float, nargs="+", help="of MultiScale")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    parts: dict[str, Any] = {"split": args.split}
    if args.similarity is not None or args.sigmas is not None:
        parts["similarity"] = {"type": args.similarity or "MultiScale"}
    if args.sigmas is not None:
        parts["similarity"]["sigmas"] = args.sigmas
    core = core_of(args.env, args.images, args.seed, **parts)
    rewards = scores(core, GRID)
    told = f"{args.env}, {args.split}, {args.images} images, seed {args.seed}"
    print(f"{told}, {core.config.similarity}\n")
    print("\n".join(slope(core, rewards)), end="\n\n")
    print("\n".join(found(core, rewards, args.seed)), end="\n\n")
    lanes = core_of(args.env, 128, args.seed, **parts)
    rate = throughput(lanes, 40, args.seed)
    print(f"{rate:,.0f} actions a second, 40 in each of 128 lanes of {lanes.config.shape}")


if __name__ == "__main__":
    main()
