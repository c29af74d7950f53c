"""The training of a run: made, restored from its newest checkpoint, and carried to its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.data.directory import data_directory
from glimpse_lab.core_seconds import CoreSeconds, CoreTimer
from glimpse_lab.kinds import GLIMPSE
from glimpse_lab.logs import failed_writes_told_once, n_rows
from glimpse_lab.recipes import RLLIB
from glimpse_lab.runs import Run, RunError
from glimpse_lab.write_failures import write_failure
from policies.callbacks import Checkpoint, Diverged, EpisodeStatistics, Progress, check_weights
from policies.classifier.cotraining import CoTrainingCallback, cores_of
from policies.imitation import Imitation


class TrainingStoppedError(KeyboardInterrupt):
    """Ctrl-C; the message says what is saved and how to go on."""


@contextmanager
def stopping(run: Run, go_on: str) -> Iterator[None]:
    """Say after Ctrl-C, whenever it comes, what is saved.

    :param run: made or opened already
    :param go_on: the command that resumes it
    :raises TrainingStoppedError: after Ctrl-C
    """
    try:
        yield
    except TrainingStoppedError:
        raise
    except KeyboardInterrupt:
        with _deaf():
            message = f"stopped; {_saved(run)}\ngo on with:  {go_on}"
        raise TrainingStoppedError(message) from None


def _saved(run: Run) -> str:
    """Return in words what a run that was stopped has saved."""
    if not run.model_file.exists():
        return "there is no checkpoint yet: it will begin from the start"
    try:
        done = run.saved_timesteps()
    except RunError as error:
        return str(error)
    return f"the last checkpoint is kept, of {done:,} of {run.config.n_timesteps:,} timesteps."


@contextmanager
def _deaf() -> Iterator[None]:
    """Let further Ctrl-C pass while a last word is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def make(run: Run, device: str) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """Return the untrained model in its environment, and the callbacks of its recipe.

    Pretrainings of the same settings are shared by all runs, but for those that begin with the
    weights of a file.

    :raises ValueError: for settings that do not fit, of the callbacks too, and for a run of RLlib
    """
    if run.config.algorithm == RLLIB:
        raise RunError(
            f"{run.path} was trained by RLlib; go on with: python examples/rllib_ppo.py --resume "
            f"{run.path}"
        )
    saved = run.model_file.exists()
    model = run.config.make_model(VecMonitor(run.make_env()), device, saved=saved)
    callbacks = run.config.make_callbacks()
    described = run.config.env_kwargs.get("classifier")
    from_file = isinstance(described, dict) and described.get("type") == "file"
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback) and not from_file:
            callback.cache = data_directory() / "classifiers"
        callback.init_callback(model)  # what does not fit is said before anything is written
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
        if isinstance(callback, (CoTrainingCallback, Imitation)):
            try:
                callback.restore(run.classifier_extras())
            except ValueError as error:
                raise RunError(f"{run.model_file} is broken ({error}); train anew") from error


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
    :raises KeyboardInterrupt: after another Ctrl-C meanwhile; the checkpoint before is kept
    :raises RunError: if a file cannot be written
    :raises ValueError: if the training diverged
    """
    kind = run.config.kind
    statistics = EpisodeStatistics(kind.statistics)
    follows = kind is GLIMPSE and cores_of(model.get_env())[0].config.follows
    progress = Progress(statistics, "glimpses {n_glimpses:.2f}" if follows else kind.progress)
    cotraining = next((c for c in callbacks if isinstance(c, CoTrainingCallback)), None)

    timer = CoreTimer(_core_seconds_before(run, model))

    resumable = [c for c in callbacks if isinstance(c, (CoTrainingCallback, Imitation))]

    def save(model: BaseAlgorithm) -> None:
        run.save_model(model, {k: v for c in resumable for k, v in c.state().items()})
        before_agent = 0.0 if cotraining is None else cotraining.pretraining.core_seconds
        CoreSeconds(pretraining=before_agent, training=timer.seconds).write(run.path)

    for callback in resumable:
        callback.checkpoint = save
    # what stands behind the pretraining is the agent's: imitation, too
    first = 0 if cotraining is None else list(callbacks).index(cotraining) + 1
    callbacks = [Diverged(), *callbacks[:first], timer, *callbacks[first:]]
    callbacks += [statistics, progress, Checkpoint(save)]
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


def _core_seconds_before(run: Run, model: BaseAlgorithm) -> float | None:
    """Return what the agent's training has taken so far; None where that is not known."""
    known = CoreSeconds.read(run.path)
    if known is None:
        return None if model.num_timesteps else 0.0
    return known.training
