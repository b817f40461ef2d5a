"""An exported folder's language model on a CPU, through OpenVINO.

bf16        computed in bfloat16 where the processor has it, else in float32
int8, int4  weights stay packed in memory; activations are rounded to 8 bits in groups for each product, as
            OpenVINO does by itself; `exact` leaves them float32 (slower, for `p2med parity`)
"""

from collections.abc import Callable, Sequence

import numpy as np
import openvino as ov
import torch
from torch import Tensor
from transformers import PretrainedConfig

from p2med.model.openvino_graph import INPUTS, Graph
from p2med.model.weights import TensorFiles


class OpenVinoEngine:
    """The compiled layers; `open_session` starts an answer."""

    def __init__(
        self,
        shape: PretrainedConfig,
        files: TensorFiles,
        kind: str,
        threads: int,
        exact: bool = False,
        taps: Sequence[str] = (),
    ):
        self._graph = Graph(shape, files)
        core = ov.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # pinned threads fight with whoever else is on the machine
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32" if exact else "f16",
        }
        if exact:
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        elif kind == "bf16" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            settings["INFERENCE_PRECISION_HINT"] = "bf16"
        self.taps = tuple(taps)
        self._compiled = core.compile_model(self._graph.build(taps), "CPU", settings)

    def open_session(self) -> "OpenVinoSession":
        return OpenVinoSession(self, self._compiled.create_infer_request())


class OpenVinoSession:
    """Keys and values live in the request's state; `seen` has the taps of the last call."""

    def __init__(self, engine: OpenVinoEngine, request: ov.InferRequest):
        self._engine = engine  # its arrays hold the weights
        self._request, self._taps = request, engine.taps
        self._rows: np.ndarray | None = None
        self.seen: dict[str, Tensor] = {}

    def feed(self, embeds: Tensor, mask: Tensor, positions: Tensor, last: int = 1) -> Tensor:
        """float[B, T, d], int64|bool[B, S], int64[B, T] -> float32[B, last, V]."""
        rows = np.arange(len(embeds), dtype=np.int32) if self._rows is None else self._rows
        values = (embeds.float().numpy(), mask.long().numpy(), positions.numpy(), rows, np.array([last]))
        self._request.infer(dict(zip(INPUTS, values, strict=True)))
        self._rows = np.arange(len(embeds), dtype=np.int32)
        found = [
            torch.from_numpy(self._request.get_output_tensor(n).data.copy())
            for n in range(1 + len(self._taps))
        ]
        self.seen = dict(zip(self._taps, found[1:], strict=True))
        return found[0]

    def keep(self, rows: Tensor) -> None:
        assert self._rows is not None
        self._rows = self._rows[rows.numpy()]


def open_engine(
    shape: PretrainedConfig, files: TensorFiles, kind: str, threads: int
) -> Callable[[], OpenVinoSession]:
    """What Generator wants of an engine: a way to start an answer."""
    return OpenVinoEngine(shape, files, kind, threads).open_session
