"""The training of a run: made, restored from its newest checkpoint, and carried to its end."""

from __future__ import annotations

from collections.abc import Sequence

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.data.loaders import data_directory
from glimpse_lab.recipes import make_callbacks
from glimpse_lab.runs import Run, RunError
from policies.callbacks import Checkpoint, Diverged, EpisodeStatistics, Progress, check_weights
from policies.classifier.callback import CoTrainingCallback


def make(run: Run, device: str) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """Return the untrained model in its environment, and the callbacks of its recipe."""
    model = run.make_model(VecMonitor(run.make_env()), device)
    callbacks = make_callbacks(run.recipe)
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback):
            callback.cache = data_directory() / "classifiers"
    return model, callbacks


def restore(run: Run, model: BaseAlgorithm, callbacks: Sequence[BaseCallback]) -> None:
    """Put the newest checkpoint of a run into model and callbacks."""
    run.load_weights(model)
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback):
            callback.restore(run.classifier_extras())


def learn(
    run: Run,
    model: BaseAlgorithm,
    callbacks: Sequence[BaseCallback],
    *,
    go_on: str,
    outputs: Sequence[KVWriter] = (),
) -> bool:
    """Train up to the run's timesteps; save at intervals, at the end, and on Ctrl-C.

    :param go_on: the command that resumes the run, for messages
    :param outputs: of the logger, beside ``progress.csv`` and TensorBoard
    :return: whether the end was reached; False after Ctrl-C
    :raises RunError: if a file cannot be written
    :raises ValueError: if the training diverged
    """
    statistics = EpisodeStatistics()
    progress = Progress(statistics)
    cotraining = next((c for c in callbacks if isinstance(c, CoTrainingCallback)), None)

    def save(model: BaseAlgorithm) -> None:
        run.save_model(model, {} if cotraining is None else cotraining.state())

    if cotraining is not None:
        cotraining.checkpoint = save
    callbacks = [Diverged(), *callbacks, statistics, progress, Checkpoint(save)]
    done, total = model.num_timesteps, int(run.recipe["n_timesteps"])
    logger = run.make_logger(upto=done)
    logger.output_formats.extend(outputs)
    model.set_logger(logger)
    if done >= total:
        print(f"trained to {done:,} of {total:,} timesteps already; --total-timesteps extends it")
        return True
    try:
        model.learn(total - done, callback=callbacks, reset_num_timesteps=not done)
    except ValueError:
        check_weights(model)  # an update that diverged may fail first in a distribution
        raise
    except OSError as error:  # a full disk, say: TensorBoard and progress.csv are written too
        raise RunError(
            f"writing to {run.path} failed ({error}). The last checkpoint is kept: make room, then "
            f"{go_on}"
        ) from error
    except KeyboardInterrupt:
        progress.close()
        save(model)
        print(f"\nstopped and saved at {model.num_timesteps:,} of {total:,} timesteps.")
        print(f"go on with:  {go_on}")
        return False
    save(model)
    return True
