"""Lines of storage/ that must not be otherwise, settings and keys; `python -m tests.mutants` tells the form."""

from tests.mutants._tests import chip, cuts

_KEYS = (chip("keys"), cuts("settings"))
_SETTINGS = (chip("settings"), cuts("settings"))

MUTANTS = [
    ("storage/keys.py", "if nvs != file:", "if False:", "a copy that is damaged stays so", _KEYS),
    (
        "storage/keys.py",
        "if file and not (nvs and _generation_of(nvs) >= _generation_of(file)):",
        "if file and not nvs:",
        "an NVS that fell back to older keys wins",
        _KEYS,
    ),
    (
        "storage/keys.py",
        "self.load()  # go on from the generation that is there",
        "",
        "new keys are as old as those before, and may lose",
        _KEYS,
    ),
    (
        "storage/keys.py",
        "if check == _check(_LABEL, body) or check == _check(_ROTATING, body):",
        "if len(body) > _GENERATION + _KEY:",
        "a damaged key is used",
        _KEYS,
    ),
    (
        "storage/keys.py",
        "if version not in versions[1:]:",
        "if version not in versions:",
        "the newest key of a kind is dropped, and no re-keyed card can enter",
        _KEYS,
    ),
    (
        "storage/keys.py",
        "card_keys = self.card_keys",
        "card_keys = []",
        "a new Wi-Fi secret takes the card keys away",
        _KEYS,
    ),
    ("storage/keys.py", "self._nvs.commit()", "", "NVS loses the key with the power", _KEYS),
    (
        "storage/settings.py",
        "index = 1 - self._latest",
        "index = self._latest",
        "the only whole copy is written over",
        _SETTINGS,
    ),
    (
        "storage/settings.py",
        "if hexlify(sha256(rest).digest()) != check:",
        "if False:",
        "a torn file is taken for settings",
        _SETTINGS,
    ),
    ("storage/settings.py", "values = validate(values)", "", "settings that cannot be are taken", _SETTINGS),
    ("storage/settings.py", "self._generation += 1", "", "of two saves the second may lose", _SETTINGS),
    (
        "storage/settings.py",
        "if best is None or generation > self._generation:",
        "if best is None or generation < self._generation:",
        "the older settings win",
        _SETTINGS,
    ),
]
