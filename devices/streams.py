"""Byte streams to devices: the pipes of a process, and a serial port."""

from __future__ import annotations

import importlib
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

from fedtiny.errors import RunnerError


class ProcessStream:
    """Standard input and output of a process that this object starts and ends."""

    def __init__(self, command: list[str]) -> None:
        """Start the process.

        Raises:
            RunnerError: It cannot be started.
        """
        self._name = Path(command[0]).name
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise RunnerError(f"cannot start {command[0]}: {error.strerror}.") from error
        self._arrived: queue.Queue[bytes] = queue.Queue()
        self._errors = bytearray()
        self._threads = [
            threading.Thread(target=self._pump_output, daemon=True),
            threading.Thread(target=self._pump_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            RunnerError: The process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte; empty after `timeout_s` without any.

        Raises:
            RunnerError: The process has ended.
        """
        try:
            data = self._arrived.get(timeout=timeout_s)
        except queue.Empty:
            return b""
        if not data:
            self._arrived.put(b"")  # so that a later read fails too
            raise self._ended()
        return data

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was not flushed has no reader any more
                continue

    def _ended(self) -> RunnerError:
        self._process.kill()
        status = self._process.wait()
        self._threads[1].join()
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        reason = lines[0] if lines else f"exit status {status}"
        return RunnerError(f"{self._name} ended while it was asked: {reason}.")

    def _pump_output(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read1(65536):  # type: ignore[attr-defined]
            self._arrived.put(data)
        self._arrived.put(b"")

    def _pump_errors(self) -> None:
        assert self._process.stderr is not None
        while data := self._process.stderr.read(1024):
            self._errors += data[: 65536 - len(self._errors)]


class SerialStream:
    """A serial port, by pyserial."""

    def __init__(self, port: str, baud: int) -> None:
        """Open the port.

        Raises:
            RunnerError: pyserial is not installed, or the port cannot be opened.
        """
        try:
            serial: Any = importlib.import_module("serial")
        except ImportError as error:
            raise RunnerError("serial ports need pyserial: pip install fedtiny[boards].") from error
        self._port = port
        self._failure: type[Exception] = serial.SerialException
        try:
            self._serial: Any = serial.Serial(port, baud, timeout=0, write_timeout=10)
        except (serial.SerialException, ValueError, OSError) as error:
            raise RunnerError(f"cannot open the serial port {port}: {error}.") from error

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            RunnerError: The port is gone.
        """
        try:
            self._serial.write(data)
        except (self._failure, OSError) as error:
            raise RunnerError(f"the serial port {self._port} failed: {error}.") from error

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, at least one byte; empty after `timeout_s` without any.

        Raises:
            RunnerError: The port is gone.
        """
        try:
            self._serial.timeout = timeout_s
            first: bytes = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (self._failure, OSError) as error:
            raise RunnerError(f"the serial port {self._port} failed: {error}.") from error

    def close(self) -> None:
        """Close the port."""
        self._serial.close()
