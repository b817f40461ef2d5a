"""A language model's layers as an OpenVINO graph, built from the tensors of an exported folder.

embeds float[B, T, d], mask int64[B, S], positions int64[B, T], rows int32[B], last int64[1]
  ->  logits float[B, last, V]; keys and values float[B, heads, S, head width] stay in the request's state

Built here, not traced: a tracer follows transformers' code of one release, wants the whole model in torch,
and the graph's nodes would not have the modules' names, which `p2med parity` compares. Every linear layer's
node is called as its module (`model.layers.0.self_attn.q_proj`), each layer's result as the layer.
"""

from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch
from openvino import Node, PartialShape, Type
from openvino import opset13 as ops
from torch import Tensor
from transformers import PretrainedConfig

from p2med.errors import ModelError
from p2med.model.exported import LLM, SCALE, require_family, rotary
from p2med.model.weights import TensorFiles

NEVER = np.float32(-65504)
"""Added to the scores of what may not be seen. Not infinity: a padded row that sees nothing would be NaN."""
INPUTS = ("embeds", "mask", "positions", "rows", "last")


class Graph:
    """Builds one graph; `arrays` must live as long as what is compiled from it."""

    def __init__(self, shape: PretrainedConfig, files: TensorFiles):
        require_family(shape)
        self.shape, self._files = shape, files
        self.arrays: list[np.ndarray] = []
        self._used: set[str] = set()
        self._sinks: list[Node] = []
        self.heads = shape.num_attention_heads
        self.kv_heads = shape.num_key_value_heads
        self.head_width = getattr(shape, "head_dim", None) or shape.hidden_size // self.heads

    def build(self, taps: Sequence[str] = ()) -> ov.Model:
        """The model; `taps` are nodes whose values are further outputs, in this order.

        Raises:
          ModelError: names the first tensor that is missing, too many or of another shape.
        """
        types = {"embeds": Type.f32, "rows": Type.i32}
        ranks = {"embeds": [-1, -1, self.shape.hidden_size], "rows": [-1], "last": [1]}
        inputs = {n: ops.parameter(ranks.get(n, [-1, -1]), types.get(n, Type.i64), name=n) for n in INPUTS}
        self._rows = inputs["rows"]
        self._prepare(inputs["embeds"], inputs["mask"], inputs["positions"])
        states: Node = inputs["embeds"]
        for n in range(self.shape.num_hidden_layers):
            states = self._layer(f"model.layers.{n}", states)
        states = _named(self._norm("model.norm", states), "model.norm")
        start = ops.negative(inputs["last"])
        kept = ops.slice(states, start, _ints(2**62), _ints(1), _ints(1))
        logits = self._linear("lm_head", kept, self.shape.vocab_size, self.shape.hidden_size)
        self._refuse_unused()
        model = ov.Model([ops.result(logits)], self._sinks, list(inputs.values()), "language_model")
        if taps:
            nodes = {node.get_friendly_name(): node for node in model.get_ops()}
            model.add_outputs([nodes[tap].output(0) for tap in taps])
        return model

    # ---------------------------------------------------------------- what every layer needs

    def _prepare(self, embeds: Node, mask: Node, positions: Node) -> None:
        """Rotary angles of the new positions, and who may see whom."""
        inverse, factor = rotary(self.shape)
        angles = ops.multiply(
            ops.unsqueeze(ops.convert(positions, "f32"), _int(-1)), _const(inverse[None, None])
        )
        both = ops.unsqueeze(ops.concat([angles, angles], -1), _int(1))
        self._cos = ops.multiply(ops.cos(both), _const(factor))
        self._sin = ops.multiply(ops.sin(both), _const(factor))
        axis = _int(0)
        whole = ops.gather(ops.shape_of(mask, "i64"), _int(1), axis)
        new = ops.gather(ops.shape_of(embeds, "i64"), _int(1), axis)
        self._batch = ops.gather(ops.shape_of(embeds, "i64"), _ints(0), axis)
        keys = ops.unsqueeze(ops.range(_int(0), whole, _int(1), "i64"), _int(0))
        queries = ops.unsqueeze(ops.range(ops.subtract(whole, new), whole, _int(1), "i64"), _int(1))
        earlier = ops.unsqueeze(ops.less_equal(keys, queries), _ints(0, 1))
        real = ops.unsqueeze(ops.not_equal(mask, _int(0)), _ints(1, 2))
        self._bias = ops.select(ops.logical_and(earlier, real), _const(np.float32(0)), _const(NEVER))

    def _layer(self, name: str, states: Node) -> Node:
        states = ops.add(
            states, self._attention(f"{name}.self_attn", self._norm(f"{name}.input_layernorm", states))
        )
        normed = self._norm(f"{name}.post_attention_layernorm", states)
        return _named(ops.add(states, self._mlp(f"{name}.mlp", normed)), name)

    def _attention(self, name: str, states: Node) -> Node:
        width = self.shape.hidden_size
        inner, kv = self.heads * self.head_width, self.kv_heads * self.head_width
        query = self._heads(self._linear(f"{name}.q_proj", states, inner, width), self.heads)
        key = self._heads(self._linear(f"{name}.k_proj", states, kv, width), self.kv_heads)
        value = self._heads(self._linear(f"{name}.v_proj", states, kv, width), self.kv_heads)
        if self.shape.model_type == "qwen3":
            query, key = self._norm(f"{name}.q_norm", query), self._norm(f"{name}.k_norm", key)
        keys = self._repeat(self._kept(f"{name}.key", self._turned(key)))
        values = self._repeat(self._kept(f"{name}.value", value))
        found = ops.scaled_dot_product_attention(self._turned(query), keys, values, self._bias)
        flat = ops.reshape(ops.transpose(found, _ints(0, 2, 1, 3)), _ints(0, 0, inner), True)
        return self._linear(f"{name}.o_proj", flat, width, inner)

    def _mlp(self, name: str, states: Node) -> Node:
        width, inner = self.shape.hidden_size, self.shape.intermediate_size
        gate = self._linear(f"{name}.gate_proj", states, inner, width)
        up = self._linear(f"{name}.up_proj", states, inner, width)
        return self._linear(f"{name}.down_proj", ops.multiply(ops.swish(gate), up), width, inner)

    # ---------------------------------------------------------------- attention's pieces

    def _heads(self, states: Node, heads: int) -> Node:
        """[B, T, heads * width] -> [B, heads, T, width]."""
        split = ops.reshape(states, _ints(0, 0, heads, self.head_width), True)
        return ops.transpose(split, _ints(0, 2, 1, 3))

    def _turned(self, states: Node) -> Node:
        """Rotary positions, halves apart (Hugging Face's order)."""
        first, second = ops.split(states, _int(-1), 2).outputs()
        crossed = ops.concat([ops.negative(second), first], -1)
        return ops.add(ops.multiply(states, self._cos), ops.multiply(crossed, self._sin))

    def _kept(self, name: str, new: Node) -> Node:
        """What was there of the chosen rows, and the new; it stays for the next call."""
        sizes = ops.concat([self._batch, _ints(self.kv_heads, 0, self.head_width)], 0)
        nothing = ops.broadcast(_const(np.float32(0)), sizes)
        shape = PartialShape([-1, self.kv_heads, -1, self.head_width])
        before = ops.gather(ops.read_value(nothing, name, Type.f32, shape), self._rows, _int(0))
        both = ops.concat([before, new], 2)
        self._sinks.append(ops.assign(both, name))
        return both

    def _repeat(self, states: Node) -> Node:
        """One key or value for several heads (grouped-query attention)."""
        times = self.heads // self.kv_heads
        if times == 1:
            return states
        every = _ints(1, 1, times, 1, 1)
        spread = ops.broadcast(ops.unsqueeze(states, _int(2)), every, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(spread, _ints(0, self.heads, -1, self.head_width), True)

    def _norm(self, name: str, states: Node) -> Node:
        """Root mean square; the weight's length is the last axis."""
        eps, weight = np.float32(self.shape.rms_norm_eps), self._floats(f"{name}.weight")
        mean = ops.reduce_mean(ops.power(states, _const(np.float32(2))), _ints(-1), keep_dims=True)
        root = ops.sqrt(ops.add(mean, _const(eps)))
        return ops.multiply(ops.multiply(states, ops.divide(_const(np.float32(1)), root)), _const(weight))

    # ---------------------------------------------------------------- tensors

    def _linear(self, name: str, states: Node, out: int, width: int) -> Node:
        found = ops.matmul(states, self._weight(f"{name}.weight", out, width), False, True)
        if LLM + f"{name}.bias" in self._files:
            found = ops.add(found, _const(self._floats(f"{name}.bias")))
        return _named(found, name)

    def _weight(self, name: str, out: int, width: int) -> Node:
        kind = self._files.dtypes.get(LLM + name)
        tensor = self._take(name)
        if (tensor.shape[0], tensor.shape[1] * (2 if kind == "U8" else 1)) != (out, width):
            raise ModelError(
                f"{self._files.folder}: tensor {LLM}{name} is {tuple(tensor.shape)}, not [{out}, {width}]"
            )
        if kind == "BF16":
            return ops.convert(self._packed(tensor.view(torch.uint16), [out, width], Type.bf16), "f32")
        scale = self._floats(f"{name}{SCALE}")
        if kind == "I8":
            whole = ops.convert(self._packed(tensor, [out, width], Type.i8), "f32")
            return ops.multiply(whole, _const(scale))
        groups = scale.shape[1]
        packed = self._packed(tensor, [out, groups, width // groups], Type.i4)
        whole = ops.multiply(ops.convert(packed, "f32"), _const(scale[..., None]))
        return ops.reshape(whole, _ints(out, width), False)

    def _packed(self, tensor: Tensor, shape: list[int], kind: Type) -> Node:
        """A constant over the file's own memory."""
        array = tensor.numpy()
        self.arrays.append(array)
        return ops.constant(ov.Tensor(array, ov.Shape(shape), kind), shared_memory=True)

    def _floats(self, name: str) -> np.ndarray:
        return self._take(name).float().numpy()

    def _take(self, name: str) -> Tensor:
        if LLM + name not in self._files:
            raise ModelError(f"{self._files.folder} lacks the tensor {LLM}{name}; export it again")
        self._used.add(LLM + name)
        return self._files[LLM + name]

    def _refuse_unused(self) -> None:
        left = (
            {n for n in self._files if n.startswith(LLM)} - self._used - {LLM + "model.embed_tokens.weight"}
        )
        if left:
            raise ModelError(
                f"{self._files.folder} has a tensor that its layers lack: {min(left)} (of {len(left)})"
            )


def _named(node: Node, name: str) -> Node:
    node.set_friendly_name(name)
    return node


def _const(value: np.ndarray | np.float32) -> Node:
    return ops.constant(value)


def _int(value: int) -> Node:
    return ops.constant(np.array(value, dtype=np.int64))


def _ints(*values: int) -> Node:
    return ops.constant(np.array(values, dtype=np.int64))
