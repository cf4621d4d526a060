"""One inference on a device that runs the firmware, for every runner that talks to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices.protocol import Client, DeviceInfo, Stream
from fedtiny.devices.runner import RunResult, Signature, checked_inputs, outputs_from
from fedtiny.errors import RunnerError

INVOKE_TIMEOUT_S = 600.0
"""A dense network on a slow emulated core takes minutes."""


class FirmwareSession:
    """A conversation with the firmware.

    Attributes:
        info: What the device said about itself.
    """

    def __init__(
        self,
        stream: Stream,
        signature: Signature,
        timeout_s: float = 2.0,
        instructions: Callable[[int, int], int] | None = None,
        invoke_timeout_s: float = INVOKE_TIMEOUT_S,
    ) -> None:
        """Greet the device.

        Args:
            stream: To the device.
            signature: Of the model that it should hold.
            timeout_s: Wait for an answer before a question is repeated.
            instructions: Makes instructions from ticks and ticks per second, where they tell;
                otherwise ticks are time.
            invoke_timeout_s: The longest inference.

        Raises:
            RunnerError: No answer, or another model.
        """
        self._client = Client(stream, timeout_s)
        self._signature = signature
        self._instructions = instructions
        self._invoke_timeout_s = invoke_timeout_s
        self.info: DeviceInfo = self._client.hello()

    def run(self, inputs: tuple[NDArray[np.generic], ...]) -> RunResult:
        """One inference, twice: once undisturbed for time, once traced for the layers.

        Raises:
            RunnerError: The device failed, or did not answer in time.
        """
        data = checked_inputs(inputs, self._signature)
        info = self.info
        if len(data) != info.input_bytes:
            raise RunnerError(
                f"the device's model takes {info.input_bytes} input bytes, this one {len(data)}."
            )
        self._client.load(data)
        whole = self._client.invoke(trace=False, timeout_s=self._invoke_timeout_s)
        outputs = self._client.output(info.output_bytes)
        self._client.invoke(trace=True, timeout_s=self._invoke_timeout_s)
        layers = self._client.layers(info.layers)
        if self._client.output(info.output_bytes) != outputs:
            raise RunnerError("the device gave two different outputs for the same input.")
        count = self._instructions
        return RunResult(
            outputs=outputs_from(outputs, self._signature),
            digests=tuple(layer.digest for layer in layers),
            instructions=count(whole.ticks, info.ticks_hz) if count else None,
            layer_instructions=(
                tuple(count(layer.ticks, info.ticks_hz) for layer in layers) if count else None
            ),
            latency_ms=None if count else 1000.0 * whole.ticks / info.ticks_hz,
            stack_bytes=whole.stack_bytes,
        )
