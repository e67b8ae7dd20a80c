"""What this software is. `BUILT_S` is the floor of a clock that was never set: it is not earlier than that."""

VERSION = "0.1.0"
BUILT_S = 215_654_400  # 2026-11-01 00:00 UTC, in seconds since 2020-01-01
