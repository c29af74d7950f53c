"""The training of a run: made, restored from its newest checkpoint, and carried to its end."""

from __future__ import annotations

from collections.abc import Sequence

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.data.loaders import data_directory
from glimpse_lab.logs import failed_writes_told_once, n_rows
from glimpse_lab.runs import Run, RunError, write_failure
from policies.callbacks import Checkpoint, Diverged, EpisodeStatistics, Progress, check_weights
from policies.classifier.cotraining import CoTrainingCallback


class TrainingStoppedError(KeyboardInterrupt):
    """Ctrl-C, after everything was saved; the message says how to go on."""


def make(run: Run, device: str) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """Return the untrained model in its environment, and the callbacks of its recipe."""
    model = run.config.make_model(VecMonitor(run.make_env()), device)
    callbacks = run.config.make_callbacks()
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback):
            callback.cache = data_directory() / "classifiers"
    return model, callbacks


def restore(run: Run, model: BaseAlgorithm, callbacks: Sequence[BaseCallback]) -> None:
    """Put the newest checkpoint of a run into model and callbacks.

    A run that was stopped before its first checkpoint has none: it begins.

    :raises RunError: for a run that has trained and whose ``model.zip`` is gone or broken
    """
    if not run.model_file.exists():
        if rows := n_rows(run.path / "progress.csv"):
            raise RunError(
                f"{run.path} has trained ({rows} rows in progress.csv), and its model.zip is gone: "
                "bring it back, or train anew under another --name"
            )
        return
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
) -> None:
    """Train up to the run's timesteps; save at intervals, at the end, and on Ctrl-C.

    :param go_on: the command that resumes the run, for messages
    :param outputs: of the logger, beside ``progress.csv`` and TensorBoard
    :raises TrainingStoppedError: after Ctrl-C, when the model is saved
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
    done, total = model.num_timesteps, run.config.n_timesteps
    logger = run.make_logger(upto=done)
    logger.output_formats.extend(outputs)
    model.set_logger(logger)
    if done >= total:
        print(f"trained to {done:,} of {total:,} timesteps already; --total-timesteps extends it")
        return
    try:
        with failed_writes_told_once():
            model.learn(total - done, callback=callbacks, reset_num_timesteps=not done)
    except ValueError:
        check_weights(model)  # an update that diverged may fail first in a distribution
        raise
    except OSError as error:  # a full disk, say: TensorBoard and progress.csv are written too
        raise RunError(
            f"writing to {run.path} failed ({write_failure(error)}). The last checkpoint is kept: "
            f"make room, then {go_on}"
        ) from error
    except KeyboardInterrupt:
        progress.close()
        save(model)
        raise TrainingStoppedError(
            f"stopped and saved at {model.num_timesteps:,} of {total:,} timesteps.\n"
            f"go on with:  {go_on}"
        ) from None
    finally:
        progress.close()
    save(model)
