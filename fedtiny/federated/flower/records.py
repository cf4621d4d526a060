"""FedTiny's serialized messages inside Flower's records."""

from __future__ import annotations

from flwr.app import ConfigRecord, RecordDict

_RECORD = "fedtiny"


def wrap(**values: bytes | int) -> RecordDict:
    """One record that holds the values."""
    return RecordDict({_RECORD: ConfigRecord(dict(values))})


def unwrap_bytes(content: RecordDict, name: str) -> bytes | None:
    """Bytes of that name; None where there are none."""
    record = content.get(_RECORD)
    value = record.get(name) if isinstance(record, ConfigRecord) else None
    return value if isinstance(value, bytes) else None


def unwrap_number(content: RecordDict, name: str) -> int | None:
    """The number of that name; None where there is none."""
    record = content.get(_RECORD)
    value = record.get(name) if isinstance(record, ConfigRecord) else None
    return value if isinstance(value, int) else None
