"""Where the time of menwei begins: all its times are seconds or minutes since then (docs/protocol.md)."""

UNIX_2020 = 1577836800  # 2020-01-01T00:00:00Z as Unix time
