"""Lines of storage/ that must not be otherwise, settings and keys; `python -m tests.mutants` tells the form."""

_HERE = "tests/storage"
_KEYS = (f"{_HERE}/chip_keys.py", f"{_HERE}/test_power_cuts.py -k settings")
_SETTINGS = (f"{_HERE}/chip_settings.py", f"{_HERE}/test_power_cuts.py -k settings")

MUTANTS = [
    # --- keys and settings ---
    (
        "storage/keys.py",
        "if copies[0] != copies[1]:",
        "if False:",
        "a copy that is damaged stays so",
        _KEYS,
    ),
    (
        "storage/keys.py",
        'whole = len(body) >= _KEY and sha256(b"menwei keys" + body).digest()[:_CHECK] == blob[:_CHECK]',
        "whole = len(body) >= _KEY",
        "a damaged key is used",
        _KEYS,
    ),
    ("storage/keys.py", "self._nvs.commit()", "pass", "NVS loses the key with the power", _KEYS),
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
    (
        "storage/settings.py",
        "if best is None or generation > self._generation:",
        "if best is None or generation < self._generation:",
        "the older settings win",
        _SETTINGS,
    ),
]
