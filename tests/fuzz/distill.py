"""Keeps of what a campaign found the smallest input for every way to be refused.

`python -m tests.fuzz.distill TARGET FOLDER` adds to the corpus of the target.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from tests.fuzz.campaign import CORPUS, corpus
from tests.fuzz.targets import TARGETS, Target

LARGEST_KEPT_BYTES = 1 << 13


def way(target: Target, data: bytes) -> str:
    """How an input is refused: the error without its names and numbers; empty when accepted."""
    text = "".join(map(str, target.read(data)))
    return re.sub(r"'[^']*'|\"[^\"]*\"|\([^)]*\)|[-\w./]*\d[\w.]*|\S*/\S*", "", text)[:100]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.distill", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("found", type=Path)
    options = parser.parse_args()
    target = TARGETS[options.target]
    known = {way(target, data) for data in corpus(options.target, target).values()}
    kept = CORPUS / options.target
    kept.mkdir(exist_ok=True)
    for path in sorted(options.found.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        if len(data) <= LARGEST_KEPT_BYTES and (how := way(target, data)) not in known:
            known.add(how)
            name = hashlib.sha256(data).hexdigest()[:12]
            (kept / name).write_bytes(data)
            print(f"{len(data):6} {name} {how}")


if __name__ == "__main__":
    main()
