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
from PIL import Image

from glimpse_envs.videos import write_video
from policies.evaluation.gallery import Gallery, Group, Picture
from policies.evaluation.page import MAX_BYTES, write_page
from policies.evaluation.wording import FIGURES, at_equal_looks, headline, rival

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
}
FIXED = {
    "accuracy": 0.7,
    "mean_glimpses": 6.0,
    "accuracy_by_glimpse": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    "reads": "the same sensor",
}
PEEKS = {"accuracy": 0.95, "mean_glimpses": 6.0, "note": "peeks: reads all pixels"}
GAZE = {
    "collapse": {"collapsed": False, "share": 0.31, "threshold": 0.9, "n_fixations": 1252},
    "dependence": {
        "n_images": 359,
        "label_bits": 3.32,
        "path_bits_given_length": 4.13,
        "distinct_paths": 121,
        "by_glimpse": [
            {
                "glimpses": t + 1,
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
        "62.7 %", "57.6 to 67.5 %", "5.7", "362", "15.7 %", "reads the same sensor",  # baselines
        "peeks: reads all pixels", "out of competition",
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
    page, parsed = written(
        tmp_path, title=evil, result=result, gallery=shown, command=f'"{evil}"'
    )
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


def test_a_gaze_of_fixed_length_is_read_off_between_whole_numbers() -> None:
    accuracy, how = at_equal_looks(FIXED, 4.25)
    assert accuracy == pytest.approx(0.5 + 0.25 * 0.1) and "4.2 glimpses" in how
    assert at_equal_looks(FIXED, 6.0)[0] == 0.7 and at_equal_looks(FIXED, 1.0)[0] == 0.2


def test_who_stops_by_itself_counts_with_as_many_glimpses_or_more() -> None:
    never = {"accuracy": 0.7, "mean_glimpses": 6.0, "accuracy_by_glimpse": [0.0] * 5 + [0.7]}
    assert at_equal_looks(never, 4.0)[0] == 0.7
    assert at_equal_looks(RANDOM, 4.5) == (0.6267, "with 5.7 glimpses")
    assert at_equal_looks({**RANDOM, "mean_glimpses": 4.0}, 4.5) is None
    assert at_equal_looks({"accuracy": 0.5}, 4.5) is None


def test_the_headline_names_the_best_baseline_that_does_not_peek() -> None:
    baselines = {"random gaze": RANDOM, "fixed": FIXED, "saliency": PEEKS}
    result = {**RESULT, "baselines": baselines}
    assert rival(result)[:2] == ("random gaze", 0.6267)  # fixed has 0.55 by then
    text = headline(result)
    assert "random gaze" in text and "19.2 points more often" in text and "overlap" not in text
    close = {**RESULT, "baselines": {"close": {**RANDOM, "accuracy": 0.83}}}
    assert "1.1 points less often; the 95 % intervals overlap" in headline(close)
    assert "No baseline" in headline(RESULT)


def test_a_result_of_json_reads_as_one_of_python(tmp_path: Path) -> None:
    page, _ = written(tmp_path)
    again, _ = written(tmp_path, result=json.loads(json.dumps(RESULT)))
    assert page == again
