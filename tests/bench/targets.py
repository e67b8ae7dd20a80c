"""What each figure must reach. A name that is measured but does not stand here fails `make bench`.

Budgets (`boot.*`, `tap.alloc_bytes`) only ever go down.
"""

TARGETS = {
    # name: (comparison, limit, unit, what the alternative is)
    "boot.modules_bytes": ("<=", 49_152, "bytes", "the same modules as source files"),
    "boot.heap32_bytes": ("<=", 86_016, "bytes", "the same door loaded from source files, not precompiled"),
    "boot.heap32_changing_bytes": ("<=", 106_496, "bytes", "the same, loaded from source files"),
    "tap.alloc_bytes": ("<=", 1_024, "bytes", "the same tap with hashing not prepared ahead"),
}
