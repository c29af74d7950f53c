"""What a page says about how a result came about, how the gaze moved, and what is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from glimpse_lab.evaluation.external_results import is_equally_trained
from glimpse_lab.report.wording import number, percent, span


class GazeText(NamedTuple):
    """What is said about the gaze.

    :param sentences: of the whole
    :param rows: by glimpse: number, images, bits about the image, bits about the class, share of
        the commonest place
    """

    sentences: list[str]
    rows: list[tuple[str, ...]]


def gaze_text(result: Mapping[str, Any]) -> GazeText | None:
    """Word ``result["gaze"]``, see ``write_page``; None without it."""
    gaze = result.get("gaze")
    if not gaze:
        return None
    sentences, rows = [], []
    stuck = gaze.get("collapse")
    if stuck and not stuck["n_fixations"]:
        sentences.append("The agent chose no fixation: each episode ended with its first glimpse.")
    elif stuck:
        share = percent(stuck["share"], 0)
        verdict = "is stuck in one place" if stuck["collapsed"] else "is not stuck in one place"
        sentences.append(
            f"The gaze {verdict}: the place that is looked at most holds {share} of the "
            f"{stuck['n_fixations']:,} fixations that the agent chose; stuck would be more than "
            f"{percent(stuck['threshold'], 0)}."
        )
    if dependence := gaze.get("dependence"):
        entries = dependence["by_glimpse"]
        n, bits = dependence["n_images"], dependence["path_bits_given_length"]
        # n images show log2 n bits at most: an entropy near that is a lower bound
        least = "at least " if dependence["path_bits"] > math.log2(n) - 1.0 else ""
        sentences.append(
            f"The {n:,} images were looked at along {dependence['distinct_paths']:,} different "
            f"paths, which hold {least}{number(bits)} bits beyond their length. Bits about the "
            "image: 0 means that this glimpse has the same place and zoom for all images, each "
            "further bit doubles their number. Bits about the class: how much place and zoom alone "
            f"tell about the right answer, of {number(dependence['label_bits'])} bits in all."
        )
        if (entries[0]["gaze_bits"] or 0.0) > 0.0:
            sentences.append(
                "The first glimpse is drawn at random here: a part of all bits about the image is "
                "due to that draw, not to the image."
            )
        rows = [
            (
                str(entry["n_glimpses"]),
                f"{entry['n_images']:,}",
                number(entry["gaze_bits"], 2),
                number(entry["class_bits"], 2),
                percent(entry["commonest_share"], 0),
            )
            for entry in entries
        ]
    return GazeText(sentences, rows)


def facts(result: Mapping[str, Any], command: str | None) -> list[tuple[str, str]]:
    """Return how the result was measured, as names and values."""
    git = result.get("git")
    versions = result.get("versions") or {}
    found = [
        ("environment", result["env"]),
        (
            "images",
            f"{result['n_images']:,} of the {result['split']} split of {result['dataset']}, each "
            "shown once",
        ),
        ("actions", "deterministic: the likeliest, never drawn"),
        ("interval", "95 %, Wilson's, over the images"),
        ("seed of the training", result.get("seed")),
        ("steps of training", f"{result['timesteps']:,}" if "timesteps" in result else None),
        ("commit", git and git.rstrip("+") + (" with local changes" if "+" in git else "")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("seconds", result.get("seconds")),
        ("command", command),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]


def changed_settings(result: Mapping[str, Any]) -> str:
    """Return the settings that differ from the registered environment's, as YAML; "" if none."""
    changed = result.get("env_kwargs")
    return yaml.safe_dump(dict(changed), sort_keys=False).strip() if changed else ""


def limits(result: Mapping[str, Any]) -> list[str]:
    """Return what the result does not tell, in sentences."""
    found = [
        "One training is shown. The intervals are about other images, not about other trainings: "
        "how much another seed would differ is not known from this page."
    ]
    if result["split"] != "test":
        found.append(
            f"These are images of the {result['split']} split. Only those of the test split took "
            "no part in training or in choosing settings."
        )
    baselines = result.get("baselines") or {}
    if not baselines:
        found.append("No baseline was measured, so it is not known whether the gaze matters.")
    else:
        found.append(
            "A baseline takes as many glimpses of every image, the agent may stop sooner at "
            "some: its lead at a matched budget is that of where it looks and of when it stops "
            "together."
        )
    if any("off-distribution" in name for name in baselines):
        found.append(
            "Random gaze with the same agent tells what becomes of this agent without its gaze. It "
            "never trained with such a gaze, so this is no equally trained baseline."
        )
    if baselines and not any(is_equally_trained(name) for name in baselines):
        found.append(
            "The classifier of all baselines is the agent's, which has learnt from the agent's "
            "glimpses. Trained for another gaze it may be better there: "
            "benchmarks/gaze_baselines.py measures that."
        )
    if "robustness" not in result:
        found.append("Disturbed images were not tried: benchmarks/robustness.py does it.")
    return found


def robustness_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Word ``result["robustness"]``: what was shown, accuracy of the agent and of a classifier of
    the whole image with their intervals, and the agent's glimpses; none without it.
    """
    return [
        (
            row["name"],
            *(
                f"{percent(row[who]['accuracy'])} ({span(row[who]['accuracy_ci95'])})"
                for who in ("agent", "full image")
            ),
            number(row["agent"]["mean_glimpses"]),
        )
        for row in result.get("robustness", {}).get("results", ())
    ]
