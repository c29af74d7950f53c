"""What frames cost: a step of a scene that moves beside one of the same canvas standing still.

  python benchmarks/moving_speed.py [--lanes 256] [--steps 200]

Processor time of the fastest of some rounds of steps with random shifts of the gaze, both kinds in
turn; resets are left out, where both compose a canvas.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.registration import REGISTERED
from glimpse_envs.scenes import ClutteredCanvas

IDS = ("GlimpseMovingMNIST-Pursuit-v0", "GlimpseMovingCIFAR-Pursuit-v0")


def milliseconds(config: GlimpseConfig, lanes: int, steps: int) -> float:
    """Return the processor time of the fastest step, milliseconds."""
    core, rng = GlimpseCore(config, lanes), np.random.default_rng(0)
    core.seed_all(0)
    core.reset(core.lanes)
    best = np.inf
    for _ in range(steps):
        actions = rng.uniform(-1.0, 1.0, (lanes, 2)).astype(np.float32)
        begin = time.process_time()
        ended = core.step(actions).ended
        best = min(best, time.process_time() - begin)
        if ended.any():
            core.reset(ended.nonzero()[0])
    return 1000.0 * best


def main() -> None:
    """Print a line for each id."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lanes", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    for env_id in IDS:
        moving = make_config(**REGISTERED[env_id])
        scene = moving.scene
        canvas = ClutteredCanvas(scene.side, pieces=0, blend=scene.blend)
        still = replace(moving, scene=canvas)
        ours, theirs = (milliseconds(config, args.lanes, args.steps) for config in (moving, still))
        print(
            f"{env_id}, {args.lanes} lanes: {ours:.2f} ms a step, {theirs:.2f} ms standing still: "
            f"{ours / theirs:.2f} times"
        )


if __name__ == "__main__":
    main()
