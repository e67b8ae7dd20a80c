"""The writers against cards on paper: whatever exchange is the last one, the card can be finished and reset."""

import copy

import pytest
from card_models import Classic, Desfire, DyingDesk, Ntag424, cmac

from menwei.carddiversify import classic_keys, counter_block, iso_key
from menwei.cardkeys import CardKeyFile
from menwei.cardwriter import Card, CardError, CardGone, writer_for
from menwei.cardwriter_classic import ACCESS, ClassicWriter, check_access_bits

UID7, UID4 = bytes.fromhex("04112233445566"), bytes.fromhex("9c599b32")
BLANK = {
    "ntag424": lambda: Ntag424(UID7), "desfire": lambda: Desfire(UID7), "classic": lambda: Classic(UID4),
    "classic7": lambda: Classic(UID7), "silent": lambda: Ntag424(UID7, tells_versions=False),
}  # fmt: skip
NUMBERS = {"ntag424": 2, "desfire": 13, "classic": 3}
ALL = sorted(BLANK)


def kind_of(name):
    return {"classic7": "classic", "silent": "ntag424"}.get(name, name)


@pytest.fixture
def office(tmp_path):
    keys = CardKeyFile.create(tmp_path / "keys.json")
    for kind, number in NUMBERS.items():
        keys.add("garden", kind, number)
    return keys


def writer(card, keys, **options):
    desk = DyingDesk(card, CardGone, **options)
    return writer_for(desk, Card(card.uid, card.sak, card.atqa), keys.kind, keys), desk


def act(card, keys, action):
    card.off()
    return getattr(writer(card, keys)[0], action)()


def is_written(card, keys, version):
    """Look into the card, past the code that wrote it."""
    number = keys.number
    if keys.kind == "classic":
        wanted = classic_keys(keys.read_key(version), keys.write_key(version), card.uid, number)
        assert card.blocks[4 * number + 3] == wanted.key_a + ACCESS + wanted.key_b
        return
    assert card.keys[0] == iso_key(keys.kind, keys.write_key(version), card.uid, 0)
    assert card.keys[number] == iso_key(keys.kind, keys.read_key(version), card.uid, number)
    name = (1, 2, 3)[(version - 1) % 3]
    assert (card.versions[0], card.versions[number]) == (name, name)
    assert all(key == bytes(16) for index, key in enumerate(card.keys) if index not in (0, number))


def is_blank(card, keys):
    if keys.kind == "classic":
        assert card.blocks == Classic(card.uid).blocks
    else:
        assert all(key == bytes(16) for key in card.keys) and not any(card.versions)


@pytest.mark.parametrize("name", ALL)
def test_a_card_goes_all_the_way(office, name):
    keys, card = office.kind("garden", kind_of(name)), BLANK[name]()
    with pytest.raises(CardError):
        act(card, keys, "check")
    assert act(card, keys, "write").version == 1
    is_written(card, keys, 1)
    assert act(card, keys, "check").version == 1
    before = copy.deepcopy(card.__dict__ | {"failed": 0, "session": 0, "selected": 0})
    act(card, keys, "write")  # again: nothing changes
    assert card.__dict__ | {"failed": 0, "session": 0, "selected": 0} == before
    office.rotate("garden", keys.kind)
    assert act(card, keys, "check").version == 1
    with pytest.raises(CardError, match="rekey"):
        act(card, keys, "write")
    assert act(card, keys, "rekey").version == 2
    is_written(card, keys, 2)
    assert act(card, keys, "rekey").version == 2
    assert act(card, keys, "reset").version == 0
    is_blank(card, keys)
    with pytest.raises(CardError, match=r"write"):
        act(card, keys, "rekey")
    act(card, keys, "reset")
    is_blank(card, keys)


@pytest.mark.parametrize("name", ["ntag424", "desfire", "classic"])
def test_versions_are_called_1_2_3_and_1_again(office, name):
    keys, card = office.kind("garden", name), BLANK[name]()
    act(card, keys, "write")
    forgotten = copy.deepcopy(card)
    for version in range(2, 8):
        office.rotate("garden", name)
        assert act(card, keys, "rekey").version == version
        is_written(card, keys, version)
        if name == "classic":
            names = {card.blocks[block][4] for block in (12, 13) if any(card.blocks[block])}
            assert names <= {1, 2, 3} and (version - 1) % 3 + 1 in names
        assert act(card, keys, "check").version == version
        office.drop("garden", name)
        older = copy.deepcopy(forgotten)  # it lay in a drawer; what it is called may be what another version is called
        assert act(older, keys, "check").version == 1
        act(older, keys, "rekey")
        is_written(older, keys, version)
        act(forgotten_blank := copy.deepcopy(forgotten), keys, "reset")
        is_blank(forgotten_blank, keys)


@pytest.mark.parametrize("action", ["write", "rekey"])
def test_a_card_that_is_as_it_should_be_is_not_written(office, action):
    for name in ALL:
        keys, card = office.kind("garden", kind_of(name)), BLANK[name]()
        act(card, keys, "write")
        card.off()
        script, desk = writer(card, keys)
        getattr(script, action)()
        assert not [call for call in desk.log if call[0] == "write" or (call[0] == "apdu" and call[1][0][1] == 0xC4)]


def test_foreign_access_bits_are_noticed(office):
    keys, card = office.kind("garden", "classic"), Classic(UID4)
    act(card, keys, "write")
    card.blocks[15][6:9] = bytes.fromhex("3b478c")  # the third block cannot be written with key A any more
    with pytest.raises(CardError, match="access bits"):
        act(card, keys, "check")


def test_a_card_that_tells_its_versions_fails_no_authentication(office):
    for name in ("ntag424", "desfire"):
        keys, card = office.kind("garden", name), BLANK[name]()
        act(card, keys, "write")
        office.rotate("garden", name)
        for action in ("check", "rekey", "check", "reset", "write"):
            act(card, keys, action)
        assert card.failed == 0


def begun(office, name, action):
    """A card before `action`, and its keys."""
    keys, card = office.kind("garden", kind_of(name)), BLANK[name]()
    if action != "write":
        act(card, keys, "write")
    if action == "rekey":
        office.rotate("garden", keys.kind)
    return keys, card


@pytest.mark.parametrize("before", [True, False], ids=["not heard", "heard"])
@pytest.mark.parametrize("action", ["write", "rekey", "reset"])
@pytest.mark.parametrize("name", ALL)
def test_taken_away_at_every_exchange(office, name, action, before):
    keys, card = begun(office, name, action)
    whole = copy.deepcopy(card)
    script, desk = writer(whole, keys)
    getattr(script, action)()
    assert desk.count > 5
    for step in range(desk.count):
        broken = copy.deepcopy(card)
        broken.off()
        failed = broken.failed
        with pytest.raises(CardGone):
            getattr(writer(broken, keys, dies_at=step, before=before)[0], action)()
        finish(copy.deepcopy(broken), keys, action)
        act(broken, keys, "reset")
        is_blank(broken, keys)
        act(broken, keys, "write")
        is_written(broken, keys, keys.current)
        if name in ("ntag424", "desfire"):
            assert broken.failed - failed <= 1, step


def finish(card, keys, action):
    """Run the same command again."""
    act(card, keys, action)
    if action == "reset":
        is_blank(card, keys)
    else:
        is_written(card, keys, keys.current)
        act(card, keys, "check")


@pytest.mark.parametrize("before", [True, False])
def test_a_classic_card_opens_at_every_moment_of_its_rekeying(office, before):
    keys, card = begun(office, "classic", "rekey")
    _, desk = writer(whole := copy.deepcopy(card), keys)
    ClassicWriter(desk, Card(UID4, 8, 4), keys).rekey()
    for step in range(desk.count):
        broken = copy.deepcopy(card)
        with pytest.raises(CardGone):
            writer(broken, keys, dies_at=step, before=before)[0].rekey()
        assert opens(broken, keys) == 1
    assert opens(whole, keys) == 1


def opens(card, keys):
    """The counter that a door with both versions finds, by the rules in docs/cards.md; None: it stays shut."""
    number = keys.number
    for version in keys.versions:
        start = b"\x01" + card.uid + bytes((number,)) + b"menwei "
        if card.blocks[4 * number + 3][:6] != cmac(keys.read_key(version), start + b"A")[:6]:
            continue
        key = cmac(keys.read_key(version), start + b"C")
        found = [
            int.from_bytes(data[1:4], "little")
            for block in (4 * number, 4 * number + 1)
            if cmac(key, bytes((block,)) + (data := bytes(card.blocks[block]))[:8])[:8] == data[8:]
        ]
        return max(found, default=None)
    return None


def test_a_counter_survives_writing_again_and_rekeying(office):
    keys, card = office.kind("garden", "classic"), Classic(UID4)
    act(card, keys, "write")
    assert opens(card, keys) == 1
    secret = classic_keys(keys.read_key(1), keys.write_key(1), UID4, 3).counter
    card.blocks[13][:] = counter_block(secret, 13, 41, 1)
    card.blocks[12][:] = counter_block(secret, 12, 42, 1)
    assert act(card, keys, "write").counter == 42
    office.rotate("garden", "classic")
    assert act(card, keys, "rekey").counter == 42 == opens(card, keys)
    assert act(card, keys, "reset").counter == 42


def test_a_counter_that_was_lost_begins_above_what_is_known(office):
    keys, card = office.kind("garden", "classic"), Classic(UID4)
    act(card, keys, "write")
    card.blocks[12][:] = card.blocks[13][:] = bytes(16)
    with pytest.raises(CardError, match="mend"):
        act(card, keys, "check")
    mender = writer(card, keys)[0]
    mender.start_at(100)
    outcome = mender.write()
    assert outcome.counter == 100 == opens(card, keys)
    assert any("copied" in warning for warning in outcome.warnings)


@pytest.mark.parametrize("name", ALL)
def test_a_card_of_somebody_else_is_left_alone(office, tmp_path, name):
    keys, card = begun(office, name, "rekey")
    other = CardKeyFile.create(tmp_path / "other.json")
    foreign = other.add("lake", keys.kind, keys.number)
    before = copy.deepcopy(getattr(card, "keys", None) or card.blocks)
    for action in ("check", "write", "rekey", "reset"):
        failed = card.failed
        with pytest.raises(CardError, match="none of ours"):
            act(card, foreign, action)
        assert card.failed - failed <= 3
    assert (getattr(card, "keys", None) or card.blocks) == before


def test_a_wrong_version_byte_does_not_mislead(office):
    keys, card = begun(office, "ntag424", "reset")
    card.versions[2] = 0  # somebody wrote the byte, or another office
    act(card, keys, "write")
    is_written(card, keys, 1)
    card.keys[2] = bytes(16)  # the byte says version 1, the key is the factory's
    act(card, keys, "write")
    is_written(card, keys, 1)
    card.keys[2] = b"x" * 16
    with pytest.raises(CardError, match="none of ours"):
        act(card, keys, "write")


def test_a_desfire_card_that_makes_no_applications(office):
    with pytest.raises(CardError, match="issued"):
        act(Desfire(UID7, free_create=False), office.kind("garden", "desfire"), "write")


def test_plans_change_nothing(office):
    for name in ALL:
        for action in ("write", "check", "rekey", "reset"):
            keys, card = office.kind("garden", kind_of(name)), BLANK[name]()
            assert all(writer(card, keys)[0].plan(action))
            is_blank(card, keys)
            assert not getattr(card, "exists", False) and not card.failed


def test_the_wrong_kind_of_card_is_named(office):
    for kind, card in (("ntag424", Classic(UID4)), ("desfire", Classic(UID7)), ("classic", Ntag424(UID7))):
        with pytest.raises(CardError, match=r"no .* card"):
            writer_for(
                DyingDesk(card, CardGone), Card(card.uid, card.sak, card.atqa), kind, office.kind("garden", kind)
            )
    with pytest.raises(CardError, match="NTAG"):
        act(Desfire(UID7), office.kind("garden", "ntag424"), "write")
    with pytest.raises(CardError, match="DESFire"):
        act(Ntag424(UID7), office.kind("garden", "desfire"), "write")


def test_uid_cards():
    for kind in ("uid", "classic", "desfire"):
        with pytest.raises(CardError, match="random"):
            writer_for(None, Card(b"\x08\x01\x02\x03", 0x20, 0x0344), kind, None).write()
    outcome = writer_for(None, Card(b"\x18\x01\x02\x03", 0x08, 0x0004, magic=True), "uid", None).write()
    assert any("magic" in warning for warning in outcome.warnings)
    with pytest.raises(CardError, match="no keys"):
        writer_for(None, Card(UID4, 0x08, 0x0004), "uid", None).rekey()


def test_only_safe_access_bits_pass():
    """All 2^24 are too many to try one by one here; all combinations of conditions are not."""
    passed = []
    for number in range(1 << 12):
        c1, c2, c3 = number >> 8, number >> 4 & 15, number & 15
        access = bytes(((c2 ^ 15) << 4 | c1 ^ 15, c1 << 4 | c3 ^ 15, c3 << 4 | c2, 0x69))
        try:
            check_access_bits(access)
            passed.append(access)
        except ValueError as error:
            assert str(error).startswith("unsafe")
    assert passed == [ACCESS]
    for bit in range(24):
        flipped = bytearray(ACCESS)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ValueError, match="disagree"):
            check_access_bits(bytes(flipped))
    with pytest.raises(ValueError, match="key B could be read"):
        check_access_bits(bytes.fromhex("FF078069"))


def test_an_unsafe_trailer_is_not_sent(office):
    script, desk = writer(Classic(UID4), office.kind("garden", "classic"))
    for access in ("7F07FF69", "0F00FF69", "08778F69", "FF078169"):
        with pytest.raises(CardError, match="nothing was written"):
            script._write_trailer(bytes(6), bytes.fromhex(access), bytes(6))
    assert not desk.log
