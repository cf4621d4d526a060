"""What `fedtiny_copy` moves: words where both ends are aligned, bytes elsewhere (src/memory.c)."""

from __future__ import annotations

from collections.abc import Iterable

WORD = 4


def counted(copies: Iterable[tuple[int, int, int]], rows: int) -> dict[str, float]:
    """Words and bytes that a kernel copies in some rows, every row aligned and alike.

    Args:
        copies: Of one row: offsets in the output's and in the input's row, and bytes.
        rows: How many.
    """
    words = single = 0
    for to, start, size in copies:
        whole = size // WORD if to % WORD == start % WORD == 0 else 0
        words += whole
        single += size - WORD * whole
    return {"copied_words": rows * words, "copied_bytes": rows * single}
