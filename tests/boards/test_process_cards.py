"""Cards and reader faults through the control channel of a door's process."""

import json

import pytest
from process_door import door, quit_door  # noqa: F401


def put(folder, name, **kept):
    path = folder / name
    path.write_text(json.dumps(kept))
    return str(path)


def test_several_cards_come_and_go(door):
    door.start()
    door.ask("run", 1)
    door.ask("card", "04112233", "-")
    door.ask("card+", "04112233445566", "2")
    door.ask("card+", "04AABBCC", "-")
    assert door.state()["cards"] == ["04112233", "04112233445566", "04AABBCC"]
    assert door.state()["card"] == "04112233"
    door.ask("run", 3)
    assert door.state()["cards"] == ["04112233", "04AABBCC"]
    door.ask("nocard", "04112233")
    assert door.state()["cards"] == ["04AABBCC"]
    with pytest.raises(ValueError):
        door.ask("nocard", "04112233")
    door.ask("card", "04DDEEFF")
    assert door.state()["cards"] == ["04DDEEFF"]
    door.ask("run", 1)
    assert door.state()["card"] is None
    door.ask("card", "04112233", "-")
    door.ask("card+", "04AABBCC", "-")
    door.ask("nocard")
    assert door.state()["cards"] == []


def test_a_card_in_a_file_is_written_back(door, tmp_path):
    path = put(tmp_path, "liu.json", kind="classic", uid="04112233", blocks={"4": "00112233445566778899aabbccddeeff"})
    door.start()
    door.ask("run", 1)
    door.ask("card", path, "-")
    assert door.state()["card"] == path
    door.ask("run", 1)
    door.ask("nocard")
    kept = json.loads((tmp_path / "liu.json").read_text())
    assert kept["blocks"]["4"] == "00112233445566778899aabbccddeeff"
    assert kept["size_k"] == 1
    assert kept["writes"] == {}


def test_cards_stay_in_the_hand_over_a_restart(door, tmp_path):
    path = put(tmp_path, "liu.json", kind="classic", uid="04112233")
    door.start()
    door.ask("run", 1)
    door.ask("card", path, "-")
    door.ask("card+", "04AABBCC", "-")
    quit_door(door)
    assert json.loads((tmp_path / "liu.json").read_text())["size_k"] == 1  # it was written at the end
    door.start()
    assert door.state()["cards"] == [path, "04AABBCC"]


def test_a_bad_card_is_refused_with_a_sentence(door, tmp_path):
    door.start()
    door.ask("run", 1)
    for name in (
        put(tmp_path, "odd.json", kind="sesame", uid="04112233"),
        put(tmp_path, "short.json", kind="classic", uid="0411"),
        str(tmp_path / "nobody.json"),
        "0411",
    ):
        with pytest.raises(ValueError):
            door.ask("card", name)
    assert door.state()["cards"] == []


def test_a_cards_model_takes_no_heap_of_the_firmware(door, tmp_path):
    path = put(tmp_path, "liu.json", kind="classic", uid="04112233")
    door.start()
    door.ask("run", 1)
    door.ask("card", "04AABBCC", "-")
    before = door.state()
    door.ask("card+", path, "-")
    after = door.state()
    assert abs(after["heap"] - before["heap"]) < 2048


def test_faults_last_over_a_reset_and_are_mended(door):
    door.start()
    door.ask("run", 1)
    assert not door.ask("fault")
    door.ask("fault", "deaf", 1)
    door.ask("fault", "noise", 3)
    door.ask("fault", "version", "B2")
    door.ask("fault", "hang", "power")
    expected = {"deaf": "1", "noise": "3", "version": "B2", "hang": "power"}
    assert door.ask("fault") == expected
    for bad in (("hang", "sometimes"), ("miso", "AA"), ("noise", "x"), ("sesame",), ("deaf", "2"), ("version", "FF")):
        with pytest.raises(ValueError):
            door.ask("fault", *bad)
    door.send("reset", "watchdog")
    door.lines.readline()
    assert door.ends()[0] == 87
    door.start()
    assert door.ask("fault") == expected
    door.ask("fault", "deaf")
    door.send("cut")
    door.lines.readline()
    assert door.ends()[0] == 86
    door.start()
    assert door.ask("fault") == {"noise": "3", "version": "B2"}
