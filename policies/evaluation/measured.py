"""What a page says about how a result came about, how the gaze moved, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from policies.evaluation.wording import number, percent


class GazeText(NamedTuple):
    """What is said about the gaze.

    :param sentences: of the whole
    :param rows: by glimpse: number, images, bits about the image, bits about the class, share of
        the commonest place
    """

    sentences: list[str]
    rows: list[tuple[str, ...]]


def gaze_text(result: Mapping[str, Any]) -> GazeText | None:
    """Word `result["gaze"]`, see `write_page`; None without it."""
    gaze = result.get("gaze")
    if not gaze:
        return None
    sentences, rows = [], []
    if stuck := gaze.get("collapse"):
        share = percent(stuck["share"], 0)
        verdict = "is stuck in one place" if stuck["collapsed"] else "is not stuck in one place"
        sentences.append(
            f"The gaze {verdict}: the place that is looked at most holds {share} of the "
            f"{stuck['n_fixations']:,} fixations that the agent chose; stuck would be more than "
            f"{percent(stuck['threshold'], 0)}."
        )
    if dependence := gaze.get("dependence"):
        entries = dependence["by_glimpse"]
        sentences.append(
            f"The {dependence['n_images']:,} images were looked at along "
            f"{dependence['distinct_paths']:,} different paths, which hold "
            f"{number(dependence['path_bits_given_length'])} bits beyond their length. Bits about "
            "the image: 0 means that this glimpse lies in the same place for all images, each "
            "further bit doubles the places. Bits about the class: how much the place alone tells "
            f"about the right answer, of {number(dependence['label_bits'])} bits in all."
        )
        rows = [
            (
                str(entry["glimpses"]),
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


def limits(result: Mapping[str, Any], figures: Mapping[str, Any]) -> list[str]:
    """Return what the result does not tell, in sentences."""
    found = []
    seeds = result.get("seeds") or [result.get("seed")]
    if len(seeds) == 1:
        found.append(
            "One training is shown. The interval is about other images, not about other trainings: "
            "how much another seed would differ is not known from this page."
        )
    if result["split"] != "test":
        found.append(
            f"These are images of the {result['split']} split. Only those of the test split took "
            "no part in training or in choosing settings."
        )
    if not result.get("baselines"):
        found.append("No baseline was measured, so it is not known whether the gaze matters.")
    elif any("off-distribution" in name for name in result["baselines"]):
        found.append(
            "Random gaze with the same agent shows that the gaze matters. It is no equally trained "
            "baseline: the agent never trained with such a gaze."
        )
    if "robustness" not in figures:
        found.append("Disturbed images, and images from elsewhere, were not tried.")
    return found
