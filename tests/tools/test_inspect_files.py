"""`menwei image inspect` as a command, with good files, wrong files, and any bytes at all."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_rig import (
    CARDS,
    CARDS_AT,
    CHIP,
    EPOCH,
    JOURNAL,
    JOURNAL_AT,
    KEY,
    WITH_KEY,
    Altered,
    by_hand,
    rest,
    table,
    text_of,
    whole,
)
from typer.testing import CliRunner

from menwei.cli import app
from menwei.flashmap import ImageError, boards, locate, partition_table
from menwei.inspect_image import Options, inspect
from menwei.keyfile import KeyFile
from menwei.rawflash import SECTOR

DOOR = "north"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return rest(tmp_path_factory)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    file = KeyFile("garden")
    file.add(DOOR, bytes(32), {EPOCH: KEY})
    file.save(path)
    return path


def run(path, *words):
    return CliRunner().invoke(app, ["image", "inspect", str(path), *map(str, words)], env={"COLUMNS": "120"})


def test_a_door_at_rest_has_nothing_wrong(image, keys, tmp_path):
    path = tmp_path / "flash.img"
    path.write_bytes(image)
    for words in ([], ["--keys", keys], ["--keys", keys, "--door", DOOR], ["--json"]):
        done = run(path, *words)
        assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert not told["findings"]
    assert told["cards"]["live"] > 50
    assert told["journal"]["verified"]["with"] == "keys in the image"
    told = inspect(image, WITH_KEY)
    assert told["journal"]["verified"]["right"] == told["journal"]["records"] > 200
    assert "nothing is wrong" in text_of(told)


# Files that cannot be read


def refused(data, options=WITH_KEY):
    with pytest.raises(ImageError) as caught:
        inspect(data, options)
    return str(caught.value)


def test_wrong_files(image):
    noise = random.Random(7).randbytes(4 << 20)
    assert "empty" in refused(b"")
    assert "12,345 bytes" in refused(bytes(12345))
    assert "esptool read-flash" in refused(image[: len(image) - SECTOR][:JOURNAL_AT])
    assert "encrypted" in refused(noise)
    assert "erased" in refused(b"\xff" * (4 << 20))
    assert "zeros" in refused(bytes(4 << 20))
    assert "one behind the other" in refused(image + image)
    text = (b"#!/bin/sh\nprobably the wrong file\n" * 200_000)[: 4 << 20]
    assert "no door's flash image" in refused(text)


def test_one_behind_the_other_without_a_table(image):
    size, regions = next(iter(boards().values()))
    one = bytearray(b"\xff" * size)
    writer = by_hand()
    at, length = regions["journal"]
    one[at : at + length] = writer.region(length // SECTOR)
    told = inspect(bytes(one), WITH_KEY)
    assert told["journal"]["verified"]["right"] == 150
    assert "one behind the other" in refused(bytes(one + one))


def test_tables():
    assert partition_table(whole(b""))["cards"] == (CARDS_AT, CARDS * SECTOR)
    damaged = bytearray(whole(b""))
    damaged[0x8000 + 40] ^= 1
    assert partition_table(bytes(damaged)) is None
    with pytest.raises(ImageError, match="no region cards"):
        locate(whole(b"", table([("journal", JOURNAL_AT, SECTOR)])))
    with pytest.raises(ImageError, match="whole sectors"):
        locate(whole(b"", table([("cards", CARDS_AT, 100), ("journal", JOURNAL_AT, SECTOR)])))
    with pytest.raises(ImageError, match="the file ends at"):
        locate(whole(b"", table([("cards", CARDS_AT, 8 * SECTOR), ("journal", CHIP, SECTOR)])))


def test_wrong_options(image, keys, tmp_path):
    path = tmp_path / "flash.img"
    path.write_bytes(image)
    others = tmp_path / "others.json"
    file = KeyFile("garden")
    file.add("east", bytes(32), {b"none": KEY})
    file.add("west", bytes(32), {})
    file.save(others)
    readable = tmp_path / "readable.json"
    readable.write_text("{}")
    readable.chmod(0o644)
    for words, said in (
        (["--keys", tmp_path / "none.json"], "none.json"),
        (["--keys", readable], "chmod 600"),
        (["--keys", keys, "--door", "south"], "does not know the door south"),
        (["--keys", others], "say which door it is"),
        (["--keys", others, "--door", "east"], "no start key"),
        (["--region", "nvs"], "--region cards or --region journal"),
        (["--board", "none"], "there is no board none"),
        (["--region", "cards"], "read exactly the region"),
    ):
        done = run(path, *words)
        assert done.exit_code == 2, (words, done.output)
        assert said in " ".join(done.output.split()), (words, done.output)
    done = run(tmp_path / "none.img")
    assert done.exit_code == 2
    assert "No such file" in done.output
    assert run(tmp_path).exit_code == 2


def test_a_region_of_another_size_is_refused(image):
    part = image[CARDS_AT : CARDS_AT + (CARDS + 1) * SECTOR]
    assert f"a region of {CARDS} sectors, and this one has {CARDS + 1}" in refused(part, Options(region="cards"))


# Anything at all


def survives(data, options):
    try:
        told = inspect(data, options)
    except ImageError as error:
        assert str(error)
        return
    json.dumps(told)
    assert text_of(told, 80)


FUZZ = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


@FUZZ
@given(st.data())
def test_an_image_that_was_altered_anywhere_gives_no_traceback(image, data):
    altered = bytearray(image)
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(CARDS_AT, JOURNAL_AT + JOURNAL * SECTOR - 1))
        what = data.draw(st.binary(min_size=1, max_size=48))
        altered[at : at + len(what)] = what
    for options in (WITH_KEY, Options()):
        survives(bytes(altered), options)


@FUZZ
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 20), st.sampled_from(["cards", "journal", None]))
def test_garbage_and_truncated_files_give_no_traceback(image, seed, length, region):
    noise = random.Random(seed).randbytes(length)
    survives(noise, Options(region=region))
    survives(image[:length], Options(region=region))
    at = CARDS_AT if region == "cards" else JOURNAL_AT
    survives(image[at : at + length & -SECTOR], Options(region=region))


@FUZZ
@given(st.lists(st.tuples(st.integers(0, JOURNAL - 1), st.integers(0, 127)), min_size=2, max_size=8))
def test_slots_that_were_moved_about_give_no_traceback(image, places):
    altered = Altered(image)
    raws = [altered.slot(*place) for place in places]
    for place, raw in zip(places, raws[1:] + raws[:1], strict=True):
        altered.put(*place, raw)
    survives(bytes(altered.data), WITH_KEY)
    survives(bytes(altered.data), Options())
