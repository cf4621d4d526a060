"""What `fedtiny_copy` moves: words where both ends are aligned, bytes elsewhere (src/memory.c)."""

from __future__ import annotations

from collections.abc import Iterable

WORD = 4


def counted(copies: Iterable[tuple[int, int, int]], rows: int) -> dict[str, float]:
    """Words and bytes that a kernel copies in some rows, every row aligned and alike.

    With them the copies that look for words, that find some, and that have bytes left.

    Args:
        copies: Of one row: offsets in the output's and in the input's row, and bytes.
        rows: How many.
    """
    words = single = aligned = several = rests = 0
    for to, start, size in copies:
        is_aligned = to % WORD == start % WORD == 0
        whole = size // WORD if is_aligned else 0
        words += whole
        single += size - WORD * whole
        aligned += is_aligned
        several += whole > 0
        rests += size > WORD * whole
    found = {"copied_words": words, "copied_bytes": single}
    found |= {"aligned_copies": aligned, "word_copies": several, "copied_rests": rests}
    return {name: rows * count for name, count in found.items()}
