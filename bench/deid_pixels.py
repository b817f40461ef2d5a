"""Burned-in strings on real films, phantoms and CT slices: found or not, lungs altered or not, how long.

    python bench/deid_pixels.py --strings 2000 --slices 400 --font A.ttf --font B.ttc

Fonts must have Chinese characters. P2MED_DATA names the shared data. Prints the figures of deid_pixels.md.
"""

import argparse
import random
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont

from p2med.deid.burned_in import Found, find_text
from p2med.deid.burned_in_ocr import read_boxes
from p2med.deid.dicom_pixels import blot
from p2med.deid.strokes import grey_of
from p2med.files import data_folder

SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", "子涵梓轩诺浩然欣怡宇泽雨桐思远诗琪俊杰晨曦"
PINYIN = ("ZHANG ZIHAN", "WANG YUXUAN", "LI HAORAN", "LIU XINYI", "CHEN SHIQI", "YANG SI")
CT = (
    "chest_ct_covid_ct_md/slices.zip",
    "chest_ct_covid19_ny_sbu_pairs/slices.zip",
    "chest_ct_lung_pet_ct_dx/series_and_boxes.zip",
)
Picture = tuple[str, np.ndarray]


def string(r: random.Random) -> str:
    name = r.choice(SURNAMES) + "".join(r.sample(GIVEN, r.choice((1, 2))))
    day = (r.randrange(2015, 2024), r.randrange(1, 13), r.randrange(1, 29))
    return r.choice(
        (
            name,
            f"姓名:{name}",
            f"{name} 男 {r.randrange(1, 14)}岁",
            "市儿童医院",
            r.choice(PINYIN),
            f"ID {r.randrange(10**7, 10**8)}",
            "{}-{:02d}-{:02d}".format(*day),
            "{}{:02d}{:02d}".format(*day),
        )
    )


def films(r: random.Random) -> Iterator[Picture]:
    """Real films of 1,024 and 512 px, pediatric ones scaled up with noise, small ones as they are."""
    data = data_folder()
    with zipfile.ZipFile(data / "cxr_dicom_rsna/dicom.zip") as z:
        for n in sorted(z.namelist()):
            if n.endswith(".dcm"):
                yield "rsna 1024", pydicom.dcmread(BytesIO(z.read(n))).pixel_array
    for kind, path, step in (
        ("openi 512", "openi_reports/sample_images.zip", 1),
        ("covid 448", "cxr_timeseries_covid/images.zip", 6),
        ("pediatric 1024", "kermany_pediatric_cxr_224/train_images.zip", 60),
    ):
        with zipfile.ZipFile(data / path) as z:
            for n in sorted(n for n in z.namelist() if n.lower().endswith(("png", "jpg", "jpeg")))[::step]:
                picture = Image.open(BytesIO(z.read(n))).convert("L")
                if kind == "pediatric 1024":
                    big = np.asarray(picture.resize((1024, 1024), Image.Resampling.BICUBIC), np.float32)
                    noise = np.random.default_rng(r.randrange(2**31)).normal(0, 3, big.shape)
                    yield kind, (big + noise).clip(0, 255).astype(np.uint8)
                else:
                    yield kind, np.asarray(picture)
    for n in range(10):
        noise = np.random.default_rng(n).normal(0, 4, (1024, 1024))
        yield "phantom 1024", (np.linspace(20, 200, 1024)[None] + noise).clip(0, 255).astype(np.uint8)


def burned(picture: np.ndarray, r: random.Random, fonts: list[str], grey: float) -> tuple | None:
    """The picture with a string at a random place, and where its strokes are; None when it does not fit."""
    least = 12
    size = r.randrange(least, 41 if picture.shape[0] >= 500 else 25)
    words, font = string(r), ImageFont.truetype(r.choice(fonts), size)
    layer = Image.new("L", picture.shape[::-1])
    draw = ImageDraw.Draw(layer)
    right, bottom = draw.textbbox((0, 0), words, font=font)[2:]
    if right >= picture.shape[1] or bottom >= picture.shape[0]:
        return None
    at = (r.randrange(int(picture.shape[1] - right)), r.randrange(int(picture.shape[0] - bottom)))
    draw.text(at, words, fill=255, font=font)
    share = np.asarray(layer, np.float32) / 255
    return np.rint(picture * (1 - share) + grey * share).astype(picture.dtype), share > 0.5, words, size


def readable(picture: np.ndarray, strokes: np.ndarray, grey: float, least: float) -> bool:
    """A person could read it: it differs from what is behind by more than that varies."""
    rows, columns = np.flatnonzero(strokes.any(1)), np.flatnonzero(strokes.any(0))
    behind = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return abs(float(np.median(behind)) - grey) >= max(least, 2.0 * float(behind.std()))


def on_films(count: int, r: random.Random, fonts: list[str], ocr: bool) -> None:
    pictures = list(films(r))
    kinds = sorted({k for k, _ in pictures})
    as_they_are = {id(p): find_text(p) for _, p in pictures}
    done, seconds, altered = Counter(), [], []
    while done["strings"] < count:
        kind = r.choice(kinds)
        picture = r.choice([p for k, p in pictures if k == kind])
        grey = r.choice((0, 255, 255, r.randrange(256)))
        made = burned(picture, r, fonts, grey)
        if made is None or not readable(picture, made[1], grey, 30):
            continue
        marked, strokes, words, size = made
        start = time.process_time()
        found = find_text(marked)
        seconds.append(time.process_time() - start)
        where = covers(found.boxes, strokes)
        passed = not as_they_are[id(picture)].in_lungs
        safe = where or found.in_lungs
        done.update(["strings", f"on {kind}"])
        done.update(
            {"kept back": found.in_lungs, "masked or kept back": safe, "on films that pass": passed}
            | {"… of these masked or kept back": safe and passed, "covered by boxes": where}
        )
        if not found.in_lungs:
            altered.append(lungs_altered(marked, found.boxes))
        if ocr:
            read = find_text(marked, ocr=True)
            alone = covers(tuple(read_boxes(grey_of(marked, None))), strokes)
            union = read.in_lungs or covers(read.boxes, strokes)
            done.update({"covered by OCR alone": alone, "masked or kept back with OCR": union})
        if not safe:
            print(f"  missed: {words!r}, {size} px, grey {grey}, {kind}")
    for what, number in done.items():
        print(f"{what:<32}{number:>6}")
    print(f"lung pixels altered by masks: mean {np.mean(altered):.4%}, worst film {np.max(altered):.4%}")
    print(f"seconds of processor a film: mean {np.mean(seconds):.3f}, worst {np.max(seconds):.3f}")
    report_clean("films as they are", pictures, as_they_are)
    if ocr:
        start = time.process_time()
        with_ocr = {id(p): find_text(p, ocr=True) for _, p in pictures}
        print(f"both searches: {(time.process_time() - start) / len(pictures):.3f} s of processor a film")
        report_clean("films as they are, with OCR", pictures, with_ocr)


def covers(boxes: tuple, strokes: np.ndarray) -> bool:
    """At least 90 % of a string's strokes lie in boxes."""
    covered = np.zeros(strokes.shape, bool)
    for top, bottom, left, right in boxes:
        covered[max(0, top) : bottom, max(0, left) : right] = True
    return bool((covered & strokes).sum() >= 0.9 * strokes.sum())


def report_clean(what: str, pictures: list[Picture], found: dict[int, Found]) -> None:
    total, masked, back = Counter(), Counter(), Counter()
    for kind, picture in pictures:
        total[kind] += 1
        masked[kind] += bool(found[id(picture)].boxes)
        back[kind] += found[id(picture)].in_lungs
    print(what, dict(total), "with a mask", dict(masked), "kept back", dict(back))
    altered = [lungs_altered(p, found[id(p)].boxes) for _, p in pictures if not found[id(p)].in_lungs]
    print(
        f"  lung pixels altered on those that pass: mean {np.mean(altered):.4%}, worst {np.max(altered):.4%}"
    )


def lungs_altered(picture: np.ndarray, boxes: tuple) -> float:
    """Share of the pixels of the middle (rows 15 to 80 %, columns 12 to 88 %) that masks change."""
    blotted = picture.copy()
    for box in boxes:
        blot(blotted, box)
    h, w = picture.shape
    middle = (slice(int(0.15 * h), int(0.8 * h)), slice(int(0.12 * w), int(0.88 * w)))
    return float((blotted[middle] != picture[middle]).mean())


def on_slices(count: int, r: random.Random, fonts: list[str]) -> None:
    """Real slices as they are, and with the mean of every 3 x 3 and 4 x 4 pixels."""
    slices = [s for path in CT for s in _ct(path)]
    for times in (1, 3, 4):
        print(f"CT slices, their size divided by {times}:")
        _on_slices([_smaller(s, times) for s in slices], count, r, fonts)


def _smaller(values: np.ndarray, times: int) -> np.ndarray:
    h, w = (n // times for n in values.shape)
    blocks = values[: h * times, : w * times].reshape(h, times, w, times)
    return np.rint(blocks.mean((1, 3))).astype(values.dtype)


def _on_slices(slices: list[np.ndarray], count: int, r: random.Random, fonts: list[str]) -> None:
    false = sum(bool(find_text(s, ct=True).boxes) for s in slices)
    print(f"{len(slices)} slices as they are: {false} flagged")
    found, seconds = 0, []
    for _ in range(count):
        while True:
            one = r.choice(slices)
            grey = r.choice((float(one.max()), float(np.percentile(one, 99.9)), 3000.0))
            made = burned(one, r, fonts, grey)
            if made is not None and readable(one, made[1], grey, 300):
                break
        start = time.process_time()
        hit = bool(find_text(made[0], ct=True).boxes)
        seconds.append(time.process_time() - start)
        found += hit
        if not hit:
            print(f"  missed on a slice: {made[2]!r}, {made[3]} px, value {grey:.0f}")
    print(f"slices with a string: {found} of {count} found; {np.mean(seconds):.3f} s of processor a slice")


def _ct(path: str) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(data_folder() / path) as z:
        for n in sorted(n for n in z.namelist() if n.endswith(".dcm")):
            yield pydicom.dcmread(BytesIO(z.read(n))).pixel_array.astype(np.int32)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--strings", type=int, default=2000)
    options.add_argument("--slices", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--font", action="append", required=True)
    options.add_argument("--ocr", action="store_true", help="with RapidOCR, too (pip install p2med[ocr])")
    given = options.parse_args()
    on_films(given.strings, random.Random(given.seed), given.font, given.ocr)
    if given.slices:
        on_slices(given.slices, random.Random(given.seed), given.font)
