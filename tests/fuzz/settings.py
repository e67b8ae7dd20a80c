"""Seed and count of generated cases, from the environment."""

import os
import time

COUNT = int(os.getenv("FUZZ_COUNT") or 20_000)
SEED = int(os.getenv("FUZZ_SEED") or time.ticks_us() % 1_000_000)
