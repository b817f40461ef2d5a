"""Weights spread over the processes (FSDP2), for a model that one card cannot hold.

Every process keeps a slice of each tensor, of its gradient and of its optimizer state; a layer's weights are
gathered right before it runs and dropped after. So all must run the same layers in the same order:

* a step has one modality, decided alike everywhere (plan.py): all look at images, or none does;
* every process makes as many passes; one that has no conversation left repeats one of the step with weight 0;
* a pass is one module's forward, so that nothing is used while its weights lie apart.

A frozen encoder stays whole in every process: kept features spare its work, at another time in each.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.train import ranks
from p2med.train.batch import Batch

Loss = Callable[[P2MedForConditionalGeneration, Batch], Tensor]


class _Pass(nn.Module):
    """Forward of the model and its loss: around it FSDP gathers what belongs to no layer."""

    def __init__(self, model: P2MedForConditionalGeneration, loss: Loss):
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, batch: Batch) -> Tensor:
        return self._loss(self.model, batch)


def shard(
    model: P2MedForConditionalGeneration, loss: Loss, device: torch.device, cast: Callable[[nn.Module], None]
) -> Loss:
    """Spread the model's weights over the ranks, in place, one layer after another.

    Args:
      cast: gives a module's parameters their training types; a layer is cast right before it is spread.

    Returns:
      The loss to call instead of `loss`.
    """
    mesh = init_device_mesh(device.type, (ranks.world()[1],))
    whole = set()
    if model.encoder is not None and not any(p.requires_grad for p in model.encoder.parameters()):
        cast(model.encoder)
        model.encoder.to(device)
        whole = set(model.encoder.parameters())
    for layer in layers(model):
        cast(layer)
        fully_shard(layer, mesh=mesh)
    cast(model)
    step = _Pass(model, loss)
    fully_shard(step, mesh=mesh, ignored_params=whole, reshard_after_forward=False)
    for module in step.modules():
        if isinstance(module, FSDPModule):
            # Gradients are summed, not averaged: a loss is its share of the step's. Gloo knows sums alone.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return lambda _, batch: step(batch)


def layers(model: P2MedForConditionalGeneration) -> Iterator[nn.Module]:
    """The blocks that are gathered one at a time."""
    yield from model.language_model.model.layers
    yield from getattr(model.connector, "layers", ())


def span(parameter: DTensor) -> slice:
    """Which rows of the whole tensor are this process's, as torch.chunk cuts them."""
    rank, count = ranks.world()
    rows = parameter.shape[0]
    size = -(-rows // count)
    return slice(min(rank * size, rows), min((rank + 1) * size, rows))


def local(tensor: Tensor) -> Tensor:
    """What this process holds of it, to be written to."""
    return tensor.detach().to_local() if isinstance(tensor, DTensor) else tensor.detach()
