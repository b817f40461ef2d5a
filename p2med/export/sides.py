"""The two things that `p2med parity` compares: a folder on this machine, or a server."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from p2med.errors import ModelError
from p2med.export.samples import Sample
from p2med.export.write import EMBEDDINGS, HEAD
from p2med.model.checkpoint import load_checkpoint, resolve_checkpoint
from p2med.model.exported import LLM, SCALE, load_engine, open_exported, read_export, whole_weight
from p2med.model.generate import Generator, positions_of
from p2med.model.merge import Merged, open_merged
from p2med.model.processor import stack
from p2med.model.sessions import TorchSession
from p2med.model.weights import TensorFiles

LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
LINEAR += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
SECONDS = 600


class Local:
    """A checkpoint (LoRA as it was trained, or merged) or an exported folder."""

    def __init__(self, path: Path):
        self.folder = resolve_checkpoint(path)
        self.export = read_export(self.folder)
        loaded = load_checkpoint(self.folder)
        self.shape: PretrainedConfig = loaded.model.config.text_config
        self.adapter = loaded.model.config.adapter
        # Generator folds LoRA in; here it runs beside the weights, as it was trained.
        loaded.model.config.adapter = None
        self.generator = Generator(loaded, torch.device("cpu"), open_exported(self.folder, self.shape))
        dtype = str(next(loaded.model.language_model.parameters()).dtype).removeprefix("torch.")
        self.precision: str = self.export["format"] if self.export else dtype

    def __str__(self) -> str:
        kind = f"{self.precision} for {self.export['engine']}" if self.export else self.precision
        return f"{self.folder} ({kind}{', with LoRA' if self.adapter else ''})"

    # ---------------------------------------------------------------- processor

    def fits(self, sample: Sample, new_tokens: int) -> bool:
        """False: a text model would have to look at images, or the sample is too long."""
        if sample.conversation.has_image and self.generator.image_spec is None:
            return False
        return len(self._ids(sample)) + new_tokens < self.generator.max_tokens

    def processed(self, sample: Sample) -> dict[str, Tensor]:
        """Everything that the network sees of a sample, before it sees it."""
        found: dict[str, Tensor] = self.generator.processor.pad([self._ids(sample)])
        found["position_ids"] = positions_of(found["attention_mask"])
        found["stop_token"] = torch.tensor(self.generator.stop)
        found["image_token"] = torch.tensor(self.generator.model.config.image_token_id)
        load = sample.loader(self.generator.image_spec)
        for n, volume in enumerate(sample.conversation.volumes):
            pixels, slices = stack([load(volume)])
            found |= {f"pixel_values[{n}]": pixels, f"slices[{n}]": slices}
        return found

    def _ids(self, sample: Sample) -> list[int]:
        load = sample.loader(self.generator.image_spec)
        depths = [len(load(v)) for v in sample.conversation.volumes]
        return self.generator.processor.encode(sample.conversation, depths).input_ids

    # ---------------------------------------------------------------- numbers

    @torch.inference_mode()
    def greedy(self, sample: Sample, new_tokens: int) -> list[int]:
        """The likeliest tokens, as they are served."""
        prompt = self.generator.prompt(sample.conversation, sample.loader(self.generator.image_spec))
        steps = self.generator.steps([prompt], new_tokens, 0.0, 1.0, 0)
        return [token for step in steps for _, token in step]

    def choices(self, sample: Sample, new_tokens: int) -> list[int]:
        """The greedy answer with the stop token, if it came to that."""
        ids = self.greedy(sample, new_tokens)
        return [*ids, self.generator.stop] if len(ids) < new_tokens else ids

    @torch.inference_mode()
    def logits(self, sample: Sample, answer: Sequence[int]) -> Tensor:
        """float32[1 + len(answer), V]: what follows the prompt and each token of `answer`, as served."""
        embeds, mask = self._embeds(sample, answer)
        session = self.generator.open_session()
        return session.feed(embeds, mask, positions_of(mask), last=len(answer) + 1)[0].float()

    @torch.inference_mode()
    def trace(self, sample: Sample, answer: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
        """Every tensor on the way, in the order of computation, with float32 activations in an engine."""
        model, seen = self.generator.model, []
        parts = {"encoder": model.encoder, "connector": model.connector}
        hooks = [
            part.register_forward_hook(lambda _m, _i, out, name=name: seen.append((name, out)))
            for name, part in parts.items()
            if part is not None
        ]
        try:
            embeds, mask = self._embeds(sample, answer)
        finally:
            for hook in hooks:
                hook.remove()
        for n, (name, tensor) in enumerate(seen):
            yield f"{name}[{n // 2}]", tensor.float()
        yield "embeddings", embeds.float()
        session = self._tapped()
        logits = session.feed(embeds, mask, positions_of(mask), last=len(answer) + 1)
        yield from ((LLM + name, session.seen[name].float()) for name in tap_names(self.shape))
        yield LLM + "lm_head", logits.float()

    def _embeds(self, sample: Sample, answer: Sequence[int]) -> tuple[Tensor, Tensor]:
        prompt = self.generator.prompt(sample.conversation, sample.loader(self.generator.image_spec))
        return self.generator.embed([[*prompt.ids, *answer]], prompt.images)

    def _tapped(self) -> Any:
        """A session that keeps in `seen` what the modules on the way give."""
        names = tap_names(self.shape)
        if self.export is None:
            return _Hooked(self.generator.model.language_model, names)
        # The engine that answers goes first: two of an 8B model are too much for a small machine.
        self.generator.open_session = _no_engine
        threads = torch.get_num_threads()
        engine = load_engine().OpenVinoEngine
        files = TensorFiles(self.folder)
        return engine(self.shape, files, self.precision, threads, exact=True, taps=names).open_session()

    # ---------------------------------------------------------------- weights

    def weights(self) -> "Weights":
        return Weights(self.folder, self.export is not None)


class _Hooked(TorchSession):
    """Keeps what the named modules give."""

    def __init__(self, language_model: Any, names: Sequence[str]):
        super().__init__(language_model)
        modules = dict(language_model.named_modules())
        self._of = {name: modules[name] for name in names}
        self.seen: dict[str, Tensor] = {}

    def feed(self, embeds: Tensor, mask: Tensor, positions: Tensor, last: int = 1) -> Tensor:
        hooks = [module.register_forward_hook(self._keep(name)) for name, module in self._of.items()]
        try:
            return super().feed(embeds, mask, positions, last)
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, out: Any) -> None:
            self.seen[name] = out[0] if isinstance(out, tuple) else out

        return hook


class Weights:
    """A folder's tensors as float32, one at a time, and how far rounding may have moved their numbers."""

    def __init__(self, folder: Path, exported: bool):
        self._exported = exported
        self._files: TensorFiles | Merged = TensorFiles(folder) if exported else open_merged(folder)[1]
        names = {n for n in self._files if not n.endswith(SCALE) and not n.startswith("report_words.")}
        self.names = sorted(names | {HEAD}, key=_order)

    def __getitem__(self, name: str) -> Tensor:
        if name == HEAD and name not in self._files:
            name = EMBEDDINGS
        if isinstance(self._files, TensorFiles):
            return whole_weight(self._files, name)
        return self._files[name].float()

    def bound(self, name: str, tensor: Tensor) -> Tensor | float:
        """At most this far is a number from what was rounded to it: |tensor|-shaped or one number."""
        if not isinstance(self._files, TensorFiles):
            # `merge --dtype bfloat16` may have rounded what the other side has in float32.
            plan = self._files.plan.get(name, ("", ()))
            return tensor.abs() * 2**-8 if plan[0] == "BF16" else 0.0
        kind = self._files.dtypes[name]
        if kind == "BF16":
            return tensor.abs() * 2**-8
        if kind not in ("I8", "U8"):
            return 0.0
        scale = self._files[name + SCALE].abs()
        # The one number of a 4-bit group that would be +8 is cut to 7.
        step = scale * (0.501 if kind == "I8" else 1.001)
        return step.repeat_interleave(tensor.shape[1] // scale.shape[1], dim=1)


def _order(name: str) -> tuple[Any, ...]:
    """Sorts names by the order of computation."""
    whole = ("encoder.", "connector.", EMBEDDINGS, LLM + "model.layers.", LLM + "model.norm", HEAD)
    part = next((n for n, start in enumerate(whole) if name.startswith(start)), len(whole))
    within = ("input_layernorm", "q_proj", "k_proj", "v_proj", "q_norm", "k_norm", "o_proj", "post_attention")
    within += ("gate_proj", "up_proj", "down_proj")
    numbers = tuple(int(x) for x in re.findall(r"\d+", name))
    place = next((n for n, word in enumerate(within) if word in name), -1)
    return (part, numbers[:1] if part == 3 else (), place, numbers, name)


def tap_names(shape: PretrainedConfig) -> list[str]:
    """Modules of the language model whose results are compared, in the order of computation."""
    names = []
    for n in range(shape.num_hidden_layers):
        names += [f"model.layers.{n}.{part}" for part in LINEAR] + [f"model.layers.{n}"]
    return [*names, "model.norm"]


def _no_engine() -> NoReturn:
    raise ModelError("this side has been compared already")


class Server:
    """A running `p2med serve`, or another server of that protocol."""

    def __init__(self, url: str, api_key: str | None = None):
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = api_key
        models = self._ask("/v1/models")
        try:
            self._model: str = models["data"][0]["id"]
        except (KeyError, IndexError, TypeError):
            raise ModelError(f"{self.url}/v1/models names no model") from None

    def __str__(self) -> str:
        return f"{self.url} ({self._model})"

    def greedy(self, sample: Sample, new_tokens: int) -> tuple[str, int]:
        """The answer's text, and how many tokens the server counts in the prompt."""
        body = {
            "model": self._model,
            "messages": sample.messages(),
            "max_tokens": new_tokens,
            "temperature": 0,
        }
        found = self._ask("/v1/chat/completions", body)
        return found["choices"][0]["message"]["content"], found["usage"]["prompt_tokens"]

    def _ask(self, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(self.url + path, data=data, headers=headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ModelError(f"{self.url}{path} answered {error.code}; is it a server of p2med?") from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.url}{path} does not answer ({type(error).__name__})") from None
