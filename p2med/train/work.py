"""How much arithmetic a step was, and how much the device could have done: model flops utilisation (MFU).

    mfu = flops of what ran on real tokens / (seconds of the step * the device's dense peak)

A weight that meets a token is 2 flops forward, 2 for the gradient of its input and 2 for its own gradient;
what is frozen gets no third term:

    language model   tokens * weights * 2 * (1 forward + 1 if a gradient passes + 1 if the weights learn)
    attention        2 * length^2 * width * layers, causal, each conversation by itself; twice that backward
    output layer     learned positions * vocabulary * width * 2 * (2, or 3 if it learns)
    encoder, connector   what one pass costs by torch's flop counter on the meta device, * (1, 2 or 3)

Features that were read instead of computed, activations computed once more and padding count nothing; nor do
embeddings, norms and rotary angles. Prompt positions that an objective learns are not counted in the output
layer, so such stages are shown a little too low.

Source: Chowdhery et al. 2022 (PaLM, arXiv:2204.02311), appendix B; frozen weights counted apart.
"""

import csv
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from p2med.model.shape import plugin
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train.freeze import part_of

GEMM_SIDE, GEMM_TRIES = 1024, 20
HEAD = "lm_head.weight"
EMBEDDING = "embed_tokens.weight"


class Work:
    """Counts the flops of what the model runs in this process, by hooks on its parts."""

    def __init__(self, model: P2MedForConditionalGeneration):
        config = model.config.text_config
        head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._square = 2 * config.num_attention_heads * head_width * config.num_hidden_layers
        self._row = 2 * config.vocab_size * config.hidden_size
        self._weights, self._learns = _matrices(model)
        self._model = model
        self._costs: dict[tuple[str, tuple[int, ...]], float] = {}
        self._flops, self._read_text = 0.0, False
        self._hooks = [model.language_model.model.register_forward_pre_hook(self._read, with_kwargs=True)]
        if model.encoder is not None and model.connector is not None:
            self._hooks.append(model.encoder.register_forward_pre_hook(self._encode))
            self._hooks.append(model.connector.register_forward_pre_hook(self._connect))

    def close(self) -> None:
        """Take the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    def take(self, learned_tokens: int) -> float:
        """Flops since the last call.

        Args:
          learned_tokens: positions that this process learned from; each met the output layer.
        """
        if self._read_text:
            self._flops += learned_tokens * self._row * (2 + ("head" in self._learns))
        flops, self._flops, self._read_text = self._flops, 0.0, False
        return flops

    def _read(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        embeds: Tensor = kwargs["inputs_embeds"]
        lengths = kwargs.get("lengths") or (embeds.shape[1],) * len(embeds)
        inside = {"llm", "adapter"} & self._learns
        passes = torch.is_grad_enabled() and bool(inside or embeds.requires_grad)
        for part in ("llm", "adapter"):
            self._flops += sum(lengths) * self._weights[part] * 2 * (1 + passes + (part in inside))
        self._flops += sum(n * n for n in lengths) * self._square * (1 + 2 * passes)
        self._read_text = True

    def _encode(self, module: nn.Module, args: tuple[Tensor]) -> None:
        shape = tuple(args[0].shape[1:])
        learns = torch.is_grad_enabled() and "encoder" in self._learns
        self._flops += len(args[0]) * self._cost("encoder", shape) * (3 if learns else 1)

    def _connect(self, module: nn.Module, args: tuple[Tensor, Tensor]) -> None:
        features, slices = args
        learns = "connector" in self._learns
        passes = torch.is_grad_enabled() * ((learns or features.requires_grad) + learns)
        for depth in slices.tolist():
            self._flops += self._cost("connector", (depth, *features.shape[2:])) * (1 + passes)

    def _cost(self, part: str, shape: tuple[int, ...]) -> float:
        """Flops of one forward pass over one slice [H, W] or one volume's features [D, P, C]."""
        if (part, shape) not in self._costs:
            config = self._model.config
            with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
                module, options = plugin("encoder", config.encoder)
                fresh = module.build(options, config.image_size)
                args: tuple[Tensor, ...] = (torch.empty(1, *shape),)
                if part == "connector":
                    width = config.text_config.hidden_size
                    module, options = plugin("connector", config.connector)
                    fresh = module.build(options, fresh.width, fresh.patches, width)
                    args = (*args, torch.full((1,), shape[0]))
                fresh.requires_grad_(False)(*args)
            self._costs[part, shape] = float(counter.get_total_flops())
        return self._costs[part, shape]


def _matrices(model: P2MedForConditionalGeneration) -> tuple[dict[str, int], set[str]]:
    """Weights of the language model's matrices by part, and the parts of the model that learn."""
    owns = plugin("adapter", model.config.adapter)[0].owns if model.config.adapter else None
    weights, learns = {"llm": 0, "adapter": 0}, set()
    for name, parameter in model.named_parameters():
        part = "head" if name.endswith(HEAD) else part_of(name, owns)
        if parameter.requires_grad:
            learns.add(part)
            # Tied weights have one name, the embedding's, and are the output layer as well.
            if name.endswith(EMBEDDING) and model.config.text_config.tie_word_embeddings:
                learns.add("head")
        if part in weights and parameter.ndim == 2 and not name.endswith(EMBEDDING):
            weights[part] += parameter.numel()
    return weights, learns


# ---------------------------------------------------------------- the device's peak


def peak(device: torch.device, dtype: torch.dtype) -> tuple[float | None, str]:
    """Flops a second that the device can do at most, and where the number comes from.

    A GPU's is its data sheet's dense figure (devices.csv), None for one that is not in the table. A CPU's is
    measured here: the best of some products of two square matrices, on as many threads as training uses.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        with open(Path(__file__).parent / "devices.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if name.startswith(row["name"]):
                    column = "bfloat16_tflops" if dtype == torch.bfloat16 else "float32_tflops"
                    return float(row[column]) * 1e12, f"{name}: {row['source']}"
        return None, f"{name} is not in devices.csv"
    threads = torch.get_num_threads()
    words = f"measured: product of two {GEMM_SIDE} x {GEMM_SIDE} matrices, {dtype}, {threads} threads"
    return _measured(dtype, threads), words


@cache
def _measured(dtype: torch.dtype, threads: int) -> float:
    """Flops a second of the fastest of some products; once in a process."""
    one = torch.ones(GEMM_SIDE, GEMM_SIDE, dtype=dtype)
    seconds = []
    for _ in range(GEMM_TRIES):
        start = time.perf_counter()
        one @ one
        seconds.append(time.perf_counter() - start)
    return 2 * GEMM_SIDE**3 / min(seconds)
