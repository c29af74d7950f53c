"""The page: whole, self-contained, escaped, with the numbers of the result and nothing else."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glimpse_lab.report.facts import gaze_text, limits
from glimpse_lab.report.wording import FIGURES, headline, rival
from PIL import Image

from glimpse_envs.render.videos import write_video
from glimpse_lab.report.gallery import Gallery, Group, Picture
from glimpse_lab.report.page import MAX_BYTES, write_page

RESULT: dict[str, Any] = {
    "env": "GlimpseDigits-GreedyMap-v0",
    "env_kwargs": {"budget": 6},
    "dataset": "digits",
    "split": "test",
    "budget": 6,
    "n_images": 359,
    "accuracy": 0.8189,
    "accuracy_ci95": [0.7758, 0.8553],
    "mean_glimpses": 4.487,
    "mean_samples": 287.2,
    "sample_fraction": 0.12465,
    "seed": 0,
    "timesteps": 401408,
    "git": "1519f23+",
    "versions": {"python": "3.11.7"},
}
RANDOM = {
    "accuracy": 0.6267,
    "accuracy_ci95": [0.5756, 0.6752],
    "mean_glimpses": 5.65,
    "mean_samples": 361.7,
    "sample_fraction": 0.157,
    "matched_budget": {
        "n_glimpses": 5.65,
        "accuracy": 0.6267,
        "lead": 0.1922,
        "lead_ci95": [0.14, 0.244],
    },
}
FIXED = {
    "accuracy": 0.7,
    "mean_glimpses": 6.0,
    "matched_budget": {
        "n_glimpses": 4.487,
        "accuracy": 0.55,
        "lead": 0.2689,
        "lead_ci95": [0.21, 0.33],
    },
}
PEEKS = {
    "accuracy": 0.95,
    "mean_glimpses": 6.0,
    "note": "oracle: reads all pixels",
    "reads": 2304,
    "matched_budget": {"n_glimpses": 4.487, "accuracy": 0.9, "lead": -0.08, "lead_ci95": None},
}
DISTURBED = {
    "split": "test",
    "n_images": 1000,
    "results": [
        {
            "name": "pgd 8/255",
            "agent": {"accuracy": 0.41, "accuracy_ci95": [0.38, 0.44], "mean_glimpses": 4.1},
            "full image": {"accuracy": 0.2, "accuracy_ci95": [0.18, 0.23], "mean_glimpses": 1.0},
        }
    ],
}
GAZE = {
    "collapse": {"collapsed": False, "share": 0.31, "threshold": 0.9, "n_fixations": 1252},
    "dependence": {
        "n_images": 359,
        "label_bits": 3.32,
        "path_bits": 5.9,
        "path_bits_given_length": 4.13,
        "distinct_paths": 121,
        "by_glimpse": [
            {
                "n_glimpses": t + 1,
                "n_images": 359 - t,
                "gaze_bits": None if t == 5 else 0.71 * t,
                "class_bits": None if t == 5 else 0.2 * t,
                "commonest_share": None if t == 5 else 1 / (t + 1),
            }
            for t in range(6)
        ],
    },
}
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Parsed(HTMLParser):
    """Balanced tags, what is referred to, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (30, 90, 200)).save(file, "PNG")
    return file.getvalue()


def gallery() -> Gallery:
    groups = [
        Group("Right, at random", "drawn", np.array([3]), False),
        Group("Surest <mistakes>", "the surest", np.array([5]), True),
    ]
    pictures = [[Picture(png(), "image 3: truth cat")], [Picture(png(), "image 5 <b>")]]
    return Gallery("A fixed rule chose them.", groups, pictures)


def written(tmp_path: Path, **changes: Any) -> tuple[str, Parsed]:
    path = write_page(
        tmp_path / "new" / "report.html", **{"title": "A run", "result": RESULT, **changes}
    )
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]  # no temporary file is left
    page = path.read_text(encoding="utf-8")
    return page, Parsed(page)


def full(tmp_path: Path, **changes: Any) -> tuple[str, Parsed]:
    film = write_video(tmp_path / "film.gif", [np.zeros((16, 16, 3), np.uint8)] * 2)
    everything = {
        "result": {
            **RESULT,
            "gaze": GAZE,
            "robustness": DISTURBED,
            "baselines": {"random gaze": RANDOM, "fixed": FIXED, "saliency": PEEKS},
        },
        "figures": {key: png() for key in FIGURES},
        "gallery": gallery(),
        "film": film,
        "command": "python eval.py RUN",
    }
    return written(tmp_path, **{**everything, **changes})


def test_a_full_page_holds_the_numbers_of_the_result(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    for text in (
        "81.9 %", "77.6 to 85.5 %", "4.5", "of at most 6", "287", "12.5 %",  # headline
        "62.7 %", "57.6 to 67.5 %", "5.7", "362", "15.7 %", "reads 2,304 pixels",  # baselines
        "+26.9 (+21.0 to +33.0)", "\N{MINUS SIGN}8.0", "pgd 8/255", "41.0 % (38.0 to 44.0 %)",
        "oracle: reads all pixels", "out of competition",
        "is not stuck in one place", "31 %", "1,252", "121 different paths", "2.84",
        "A fixed rule chose them", "python eval.py RUN", "1519f23 with local changes",
        "401,408", "budget: 6", "python 3.11.7",
    ):  # fmt: skip
        assert text in parsed.text, text
    for caption in FIGURES.values():
        assert caption.title in parsed.text and caption.text in parsed.text


def test_figures_stand_in_their_order_and_every_picture_has_a_text(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    images = parsed.with_tag("img")
    assert len(images) == len(FIGURES) + 2 + 1  # figures, episodes, the gif
    assert all(image["alt"] and image["width"] and image["height"] for image in images)
    alts = [image["alt"] for image in images]
    for section in {caption.section for caption in FIGURES.values()}:
        places = [alts.index(c.title) for c in FIGURES.values() if c.section == section]
        assert places == sorted(places)
    headings = [attrs["id"] for attrs in parsed.with_tag("section")]
    assert headings == ["good", "baselines", "gaze", "fails", "learning", "measured"]
    links = [attrs["href"] for attrs in parsed.with_tag("a")]
    assert links == [f"#{name}" for name in headings]
    assert alts.index("image 3: truth cat") < alts.index(FIGURES["confusion"].title)
    assert alts.index(FIGURES["confusion"].title) < alts.index("image 5 <b>")


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    page, parsed = full(tmp_path)
    for _, attrs in parsed.tags:
        for name in ("src", "href", "poster", "srcset", "data", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), value
        assert not any(name.startswith("on") for name in attrs)
    assert not parsed.with_tag("script") and not parsed.with_tag("link")
    assert not re.search(r"https?://|url\(|@import", page)
    assert len(page.encode()) < MAX_BYTES


def test_without_data_there_are_no_sections(tmp_path: Path) -> None:
    _, parsed = written(tmp_path)
    assert [attrs["id"] for attrs in parsed.with_tag("section")] == ["measured"]
    assert not parsed.with_tag("img") and not parsed.with_tag("table")
    assert "No baseline was measured" in parsed.text
    assert "not known from this page" in parsed.text  # one seed
    least = {key: RESULT[key] for key in RESULT if key not in ("budget", "env_kwargs", "git")}
    written(tmp_path, result=least)


def test_names_of_users_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    result = {
        **RESULT,
        "dataset": evil,
        "env_kwargs": {"classes": [evil]},
        "git": evil,
        "baselines": {evil: {**RANDOM, "note": evil}},
    }
    shown = Gallery(evil, [Group(evil, evil, np.array([0]), True)], [[Picture(png(), evil)]])
    page, parsed = written(tmp_path, title=evil, result=result, gallery=shown, command=f'"{evil}"')
    assert evil not in page and "&lt;script&gt;" in page
    assert not parsed.with_tag("script") and evil in parsed.text


def test_a_film_is_shown_if_it_is_small_and_named_if_not(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), 80 * i, np.uint8) for i in range(3)]
    mp4 = write_video(tmp_path / "video.mp4", frames)
    _, parsed = written(tmp_path, film=mp4)
    (video,) = parsed.with_tag("video")
    assert video["src"].startswith("data:video/mp4;base64,") and "controls" in video
    large = tmp_path / "large.gif"
    large.write_bytes(b"GIF89a" + bytes(MAX_BYTES))
    page, parsed = written(tmp_path, film=large)
    assert "large.gif" in parsed.text and len(page) < 100_000


def test_figures_may_be_files(tmp_path: Path) -> None:
    file = tmp_path / "confusion.png"
    file.write_bytes(png((70, 50)))
    _, parsed = written(tmp_path, figures={"confusion": file})
    (image,) = parsed.with_tag("img")
    assert (image["width"], image["height"]) == ("70", "50")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"result": {"accuracy": 1.0}}, "without .*'env'"),
        ({"figures": {"confusionn": b""}}, "confusionn"),
        ({"figures": {"confusion": b"<svg/>"}}, "no picture"),
        ({"film": "film.avi"}, "ends in .mp4 or .gif"),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_too_much_for_a_page_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    with pytest.raises(ValueError, match="at most 5"):
        written(tmp_path, figures={"confusion": file.getvalue()})


# ---- what is said about baselines ----


def test_the_headline_names_the_best_baseline_that_is_no_oracle() -> None:
    baselines = {"random gaze": RANDOM, "fixed": FIXED, "saliency": PEEKS, "old": {"accuracy": 0.9}}
    result = {**RESULT, "baselines": baselines}
    found = rival(result)
    assert found is not None and found[:2] == ("random gaze", 0.6267)  # fixed has 0.55 by then
    text = headline(result)
    assert "random gaze, is right for 62.7" in text and "with 5.7 glimpses" in text
    assert "lead is +19.2 points (95 % interval +14.0 to +24.4, paired" in text
    assert "chance" not in text
    looks = {**RANDOM["matched_budget"], "lead": -0.011, "lead_ci95": [-0.04, 0.018]}
    close = headline({**RESULT, "baselines": {"close": {**RANDOM, "matched_budget": looks}}})
    assert "\N{MINUS SIGN}1.1 points" in close and "to +1.8" in close and "chance" in close
    assert "No baseline" in headline(RESULT)


def test_what_is_not_known_depends_on_what_was_measured() -> None:
    own = {**RESULT, "baselines": {"fixed": FIXED}}
    assert "benchmarks/gaze_baselines.py" in " ".join(limits(own))
    both = {**RESULT, "baselines": {"fixed": FIXED, "grid (equally trained)": FIXED}}
    assert "benchmarks/gaze_baselines.py" not in " ".join(limits(both))
    assert "benchmarks/robustness.py" in " ".join(limits(both))
    assert "benchmarks/robustness.py" not in " ".join(limits({**both, "robustness": DISTURBED}))


def test_the_text_about_the_gaze_tells_draws_and_gaps() -> None:
    def text(**changes: Any) -> str:
        found = gaze_text({"gaze": {**GAZE, **changes}})
        assert found is not None
        return " ".join(found.sentences)

    dependence = GAZE["dependence"]
    assert "drawn at random" not in text() and "at least" not in text()
    first, *others = dependence["by_glimpse"]
    drawn = [{**first, "gaze_bits": 3.0}, *others]
    assert "drawn at random" in text(dependence={**dependence, "by_glimpse": drawn})
    many = {**dependence, "path_bits": 8.4}  # log2 359 = 8.49
    assert "hold at least 4.1 bits" in text(dependence=many)
    none = {**GAZE["collapse"], "share": None, "n_fixations": 0}
    assert "chose no fixation" in text(collapse=none)


def test_a_result_of_json_reads_as_one_of_python(tmp_path: Path) -> None:
    page, _ = written(tmp_path)
    again, _ = written(tmp_path, result=json.loads(json.dumps(RESULT)))
    assert page == again
