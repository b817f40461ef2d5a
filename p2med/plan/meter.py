"""One training step without its memory: the real code runs on tensors that have a shape and no numbers.

Every operation goes to PyTorch's fake tensors (shape, type, device); this meter notes when a storage is made
and when its last owner lets it go, so the greatest sum of living storages is what an allocator would have to
hold. Whole numbers and masks stay real, because which positions are learned or padded decides shapes.

Source: the idea is torch.distributed._tools.mem_tracker's; it cannot run code whose shapes depend on data.
"""

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

SMALL_BYTES, TABLE_BYTES = 2**16, 2**23
"""Real numbers up to this size may steer the code (draws, labels; tables such as a weight of each token);
what is greater is taken for pixels."""
CPU = torch.device("cpu")
_INDEXED = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}
_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass
class Work:
    """What a phase of a pass costs."""

    each: list[tuple[str, float, float]] = field(default_factory=list)
    """Of every operation: float32 or bfloat16, flops, bytes."""
    kernels: set[tuple[Any, ...]] = field(default_factory=set)
    """Different bfloat16 products, attentions and convolutions: a CPU compiles each and keeps the code."""

    @property
    def flops(self) -> float:
        return sum(flops for _, flops, _ in self.each)


class Meter(TorchDispatchMode):
    """Lives as long as the step that it watches: `with meter, meter.phase("forward"): ...`."""

    def __init__(self, fake: FakeTensorMode, vocabulary: int):
        """`vocabulary`: matrices with rows of this length are logits."""
        super().__init__()
        self._fake, self._vocabulary = fake, vocabulary
        self._living: dict[int, tuple[weakref.ref, int, str]] = {}
        self._phase = ""
        self.live: Counter[str] = Counter()
        self.work: dict[str, Work] = {}
        self.peak = 0
        self.at_peak: Counter[str] = Counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is made from now on is called `name`, and so is what it costs."""
        self._phase = name
        self.work.setdefault(name, Work())
        yield

    def rename(self, old: str, new: str) -> None:
        """What was made in a phase and still lives is something else from now on: gradients."""
        for key, (reference, size, label) in self._living.items():
            if label == old:
                self._living[key] = (reference, size, new)
                self.live[old] -= size
                self.live[new] += size

    def know(self, module: nn.Module) -> None:
        """Storages of the module's own tensors are not made by the step."""
        for tensor in (*module.parameters(), *module.buffers()):
            storage = tensor.untyped_storage()
            self._living[id(storage)] = (weakref.ref(storage), 0, "")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if not any(map(_without_numbers, given)):
            return func(*args, **kwargs)
        if func.overloadpacket in _INDEXED:
            args = (args[0], _positions(args[1]), *args[2:])
        for tensor in given:
            if _without_numbers(tensor):
                self._note(tensor)  # pixels come as real numbers
        args, kwargs = tree_map_only(Tensor, self._faked, (args, kwargs))
        out = func(*args, **kwargs)
        made = [x for x in tree_leaves(out) if isinstance(x, FakeTensor)]
        for tensor in made:
            self._note(tensor)
        if torch.Tag.pointwise in func.tags:
            self._reach(_copied_inside([*given, *made]))
        if not func.is_view:
            self._cost(func, args, kwargs, out, given, made)
        return out

    def _faked(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self._fake.from_tensor(tensor)

    def _note(self, tensor: Tensor) -> None:
        """Count the tensor's storage, if it is a new one, until its last owner lets it go."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._living:
            return
        logits = tensor.ndim == 2 and tensor.shape[1] == self._vocabulary
        size, label = storage.nbytes(), "logits" if logits else self._phase

        def gone(_: Any, key: int = key) -> None:
            _, size, label = self._living.pop(key)
            self.live[label] -= size

        self._living[key] = (weakref.ref(storage, gone), size, label)
        self.live[label] += size
        self._reach(0)

    def _reach(self, inside: int) -> None:
        """Keep this moment if it is the worst; `inside`: bytes that an operation makes for itself."""
        total = sum(self.live.values()) + inside
        if total > self.peak:
            self.peak, self.at_peak = total, self.live + Counter({self._phase: inside})

    def _cost(self, func: Any, args: Any, kwargs: Any, out: Any, given: list, made: list) -> None:
        work = self.work.setdefault(self._phase, Work())
        flops = float(_flops(func, args, kwargs, out))
        size = float(sum(t.numel() * t.element_size() for t in (*given, *made)))
        kind = "bfloat16" if any(t.dtype == torch.bfloat16 for t in made) else "float32"
        work.each.append((kind, flops, size))
        if flops and (kind == "bfloat16" or "convolution" in func.overloadpacket.__name__):
            shapes = tuple(tuple(t.shape) for t in given)
            work.kernels.add((func.overloadpacket.__name__, kind, shapes))


def _without_numbers(tensor: Tensor) -> bool:
    if isinstance(tensor, FakeTensor):
        return True
    most = TABLE_BYTES if tensor.ndim == 2 else SMALL_BYTES
    return tensor.is_floating_point() and tensor.numel() * tensor.element_size() > most


def _copied_inside(tensors: list[Tensor]) -> int:
    """A CPU brings what an operation reads and writes to the widest type first, in tensors of its own.

    Source: PyTorch's TensorIterator, compute_types.
    """
    several = [t for t in tensors if t.is_floating_point() and t.ndim]
    widest = reduce(torch.promote_types, (t.dtype for t in several)) if several else torch.float32
    return sum(t.numel() * widest.itemsize for t in several if t.dtype != widest)


def _positions(indices: Any) -> list[Any]:
    """Masks as the positions that they name, which have a known length."""
    found: list[Any] = []
    for index in indices:
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            found += index.nonzero(as_tuple=True)
        else:
            found.append(index)
    return found


def _flops(func: Any, args: Any, kwargs: Any, out: Any) -> float:
    packet = func.overloadpacket
    if packet in flop_registry:
        return flop_registry[packet](*args, **kwargs, out_val=out)
    if packet not in (_ATTENTION, _ATTENTION_BACKWARD):
        return 0.0
    query, key = (args[1], args[2]) if packet is _ATTENTION_BACKWARD else (args[0], args[1])
    products = 2 if packet is _ATTENTION else 5  # forward q k and p v; backward five (Dao 2023, 2307.08691)
    batch, heads, rows, width = query.shape
    return 2.0 * products * batch * heads * rows * key.shape[2] * width


def without_memory(module: nn.Module, fake: FakeTensorMode) -> None:
    """Turn a module on `meta` into one of fake CPU tensors, in place; shared tensors stay shared."""
    found: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is None:
                continue
            if id(parameter) not in found:
                data = FakeTensor(fake, parameter.data, CPU)
                found[id(parameter)] = nn.Parameter(data, requires_grad=parameter.requires_grad)
            part._parameters[name] = found[id(parameter)]
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                meta = buffer.to("meta") if not buffer.is_meta else buffer
                part._buffers[name] = FakeTensor(fake, meta, CPU)
