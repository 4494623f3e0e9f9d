"""A module of the user's own, taken apart into what every attack expects: normalisation, body and fully connected head.

The forward pass is traced (``torch.fx``) and cut wherever a single value passes, so that functional ReLUs, poolings and
reshapes become layers that the closed forms know. Where a trace fails the last linear layer alone is told apart, and where
that fails nothing is. A way to take it apart counts only if the parts compute what the whole computes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from lab.federated.classifier import Classifier, Normalise
from lab.federated.low_rank import as_low_rank
from lab.federated.sharing import sharing_copy
from lab.federated.typed_torch import layers_of
from lab.randomness import normal_like, stream

LAST_LAYER = "The forward pass cannot be taken apart, so closed forms reach what enters its last linear layer, and no further."
NO_TENSOR = (
    "The forward pass cannot be taken apart and ends in no linear layer with weights of its own, so closed forms and label "
    "recovery have nothing to read; matching needs none of it."
)
LOGIT_TOLERANCE = 1e-4
"""Up to here two batches of logits are the same but for rounding, relative to the larger."""
LAYERS: dict[Any, type[nn.Module]] = {
    **dict.fromkeys((functional.relu, functional.relu_, torch.relu, torch.relu_, "relu", "relu_"), nn.ReLU),
    **dict.fromkeys((functional.leaky_relu, functional.leaky_relu_), nn.LeakyReLU),
    **dict.fromkeys((functional.sigmoid, torch.sigmoid, "sigmoid"), nn.Sigmoid),
    **dict.fromkeys((functional.tanh, torch.tanh, "tanh"), nn.Tanh),
    functional.silu: nn.SiLU,
    functional.gelu: nn.GELU,
    functional.elu: nn.ELU,
    functional.hardswish: nn.Hardswish,
    functional.hardsigmoid: nn.Hardsigmoid,
    functional.relu6: nn.ReLU6,
    functional.hardtanh: nn.Hardtanh,
    functional.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    **dict.fromkeys((functional.log_softmax, torch.log_softmax, "log_softmax"), nn.LogSoftmax),
    **dict.fromkeys((functional.dropout, functional.dropout2d), nn.Dropout),
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
"""What a function (or a tensor's method, by name) is as a layer; the arguments after the first are the layer's."""
NO_ARGUMENTS = ("input", "inplace", "training", "dtype", "_stacklevel")
"""Of a function's, those that a layer in eval mode does without."""
INSPECTIONS = (getattr, torch._assert, "size", "dim", *vars(operator).values())  # pyright: ignore[reportPrivateUsage]
"""What is asked of a value without changing it; ``torch._assert`` is what torch tells people to call in what is traced."""
NO_EFFECT_IN_EVAL = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
"""What does nothing in eval mode."""
HEAD_LAYERS = (nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU, nn.ELU)
_TRACING = Lock()


def as_classifier(
    model: nn.Module, normalise: Normalise, pictures: Tensor, *, shift_invariant: bool = True
) -> tuple[Classifier, tuple[str, ...]]:
    """The model as a ``Classifier`` with the model's own parameters, and what there is to say of how it was taken apart.

    The model is in eval mode, the caller's to give away, and bears ``pictures``, shape (batch, channels, height, width). A
    final log-softmax is left out where the client's loss is ``shift_invariant``, as cross entropy is, to what all logits share.
    """
    with torch.no_grad():
        inputs = normalise(pictures)
        logits = model(inputs)
        for take_apart, notes in ((partial(_by_trace, shift_invariant=shift_invariant), ()), (_by_last_layer, (LAST_LAYER,))):
            parts = _attempted(take_apart, model, inputs)
            if parts is not None:
                classifier = Classifier(normalise, *parts, classes=logits.shape[1]).eval()
                if _is_same(_attempted(classifier, pictures), logits, shift_invariant=shift_invariant):
                    return classifier, notes
    return Classifier(normalise, OpaqueModel(model), nn.Sequential(), classes=logits.shape[1]).eval(), (NO_TENSOR,)


class OpaqueModel(nn.Module):
    """A model of which nothing is known but what it computes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: Tensor) -> Tensor:
        """What the model makes of them."""
        return self.model(values)


def _attempted(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives; None where the user's code, which may do anything, does not bear it."""
    try:
        return function(*arguments)
    except Exception:
        return None


def _is_same(found: Tensor | None, logits: Tensor, *, shift_invariant: bool) -> bool:
    """Whether both mean the same to the client's loss, but for rounding."""
    if found is None or found.shape != logits.shape:
        return False
    one, other = (found.log_softmax(1), logits.log_softmax(1)) if shift_invariant else (found, logits)
    return bool((one - other).abs().max() <= LOGIT_TOLERANCE * other.abs().max())


def _by_trace(model: nn.Module, inputs: Tensor, *, shift_invariant: bool) -> tuple[nn.Module, nn.Sequential] | None:
    """Body and head of the chain of parts; None where they share weights, which no closed form expects."""
    layers = _each_once(list(_known_layers(_chain(model, inputs), inputs)))
    if shift_invariant and layers and isinstance(layers[-1], nn.LogSoftmax):
        layers = layers[:-1]
    start = len(layers)
    while start and isinstance(layers[start - 1], HEAD_LAYERS):
        start -= 1
    while start < len(layers) and not isinstance(layers[start], nn.Linear):
        start += 1
    body, head = layers[:start], layers[start:]
    if body and isinstance(body[-1], nn.Flatten):
        body = body[:-1]  # a classifier flattens what enters its head
    if _share_weights([nn.Sequential(*body), nn.Sequential(*head)]) or _share_weights(head):
        return None
    if _share_weights(body):
        body = [OpaqueModel(nn.Sequential(*body))]
    return nn.Sequential(*body) if body else nn.Identity(), nn.Sequential(*head)


def _each_once(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """The same with a copy wherever one without weights stands again: whoever walks over layers meets a layer but once."""
    met, found = set[int](), list[nn.Module]()
    for layer in layers:
        again = id(layer) in met and next(layer.parameters(), None) is None
        found.append(deepcopy(layer) if again else layer)
        met.add(id(layer))
    return found


def _share_weights(layers: Sequence[nn.Module]) -> bool:
    """Whether a parameter stands in more than one of them."""
    found = [id(weight) for layer in layers for weight in layer.parameters()]
    return len(set(found)) < len(found)


def _by_last_layer(model: nn.Module, inputs: Tensor) -> tuple[nn.Module, nn.Sequential] | None:
    """The last linear layer as the head, and the model without it as the body."""
    called = list[str]()
    names: dict[nn.Module, str] = {layer: name for name, layer in layers_of(model, nn.Linear).items()}

    def note(layer: nn.Module, *_: Any) -> None:
        called.append(names[layer])

    hooks = [layer.register_forward_hook(note) for layer in names]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if not called or called.count(called[-1]) > 1:
        return None
    last = model.get_submodule(called[-1])
    body = sharing_copy(model)
    body.set_submodule(called[-1], nn.Identity())
    return None if _share_weights([body, last]) else (OpaqueModel(body), nn.Sequential(last))


class _Tracer(fx.Tracer):
    """Torch's own, but for three things.

    It is deaf to modules that other threads call meanwhile, as it patches the class of all modules. And a condition in the
    forward pass is decided as it is for these inputs. A layer with a low-rank pair stays whole.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.own, self.inputs, self.deciding = {id(module) for module in model.modules()}, inputs, False

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """A node for a module of the model's."""
        recorded = id(m) in self.own and not self.deciding
        return super().call_module(m, forward, args, kwargs) if recorded else forward(*args, **kwargs)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Torch's own layers, and those with a low-rank pair, however their forward pass is written."""
        return super().is_leaf_module(m, module_qualified_name) or self._has_pair(m)

    def _has_pair(self, part: nn.Module) -> bool:
        frozen = [weight for weight in part.parameters() if weight.ndim == 2 and not weight.requires_grad]
        if len(frozen) != 1:
            return False
        self.deciding = True
        try:
            values = normal_like(frozen[0][:1].expand(2, -1), stream(0, "what enters a pair"))
            return _attempted(as_low_rank, part, values) is not None
        finally:
            self.deciding = False

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A node for a parameter of the model's."""
        return attr_val if self.deciding else super().getattr(attr, attr_val, parameter_proxy_cache)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """What a condition comes to."""
        (start,) = self.graph.find_nodes(op="placeholder")[:1]
        self.deciding = True
        try:
            return bool(_as_module(self.root, start, [obj.node])(self.inputs))
        finally:
            self.deciding = False


def _chain(model: nn.Module, inputs: Tensor) -> list[nn.Module]:
    """The model cut wherever one value alone passes, each part a module: one of its own where a part is no more than that."""
    with _TRACING:
        graph = _Tracer(model, inputs).trace(model)
    _without_questions(graph)
    _functions_as_layers(model, graph)
    (start,) = graph.find_nodes(op="placeholder")[:1]
    places = {node: place for place, node in enumerate(graph.nodes)}
    last_use = {node: max((places[user] for user in node.users), default=-1) for node in graph.nodes}
    parts, part, reach = list[nn.Module](), list[fx.Node](), last_use[start]
    for node, place in places.items():
        if node.op in ("placeholder", "get_attr", "output"):
            continue
        part.append(node)
        if reach <= place:  # nothing from before is asked for later on
            parts.append(_as_module(model, start, part))
            start, part = node, []
        reach = max(reach, last_use[node])
    return parts


def _without_questions(graph: fx.Graph) -> None:
    """Conditions have been decided; what they asked computes nothing."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.target in INSPECTIONS:
            graph.erase_node(node)


def _functions_as_layers(model: nn.Module, graph: fx.Graph) -> None:
    """Each function that is a layer becomes one, so that what knows layers knows it: fast derivatives, closed forms."""
    for number, node in enumerate(list(graph.nodes)):
        layer = LAYERS.get(node.target) if node.op in ("call_function", "call_method") else None
        others = [*node.args[1:], *node.kwargs.values()]
        if layer is None or any(isinstance(other, fx.Node) for other in others):
            continue
        keywords = {name: value for name, value in node.kwargs.items() if name not in NO_ARGUMENTS}
        built = _attempted(partial(layer, *node.args[1:], **keywords))
        if built is None or not node.args:
            continue
        name = f"function_{number}"
        model.add_module(name, built.eval())
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_module(name, node.args[:1]))
        graph.erase_node(node)


def _as_module(model: nn.Module, start: fx.Node, nodes: Sequence[fx.Node]) -> nn.Module:
    """What the nodes make of the value at ``start``."""
    only = nodes[0]
    if len(nodes) == 1 and only.op == "call_module" and only.args == (start,) and not only.kwargs:
        return model.get_submodule(str(only.target))
    graph = fx.Graph()
    copies = {start: graph.placeholder("values")}

    def copy_of(node: fx.Node) -> fx.Node:
        if node not in copies:
            copies[node] = graph.node_copy(node, copy_of)
        return copies[node]

    for node in nodes:
        copy_of(node)
    graph.output(copies[nodes[-1]])
    return fx.GraphModule(model, graph)


def _known_layers(parts: Sequence[nn.Module], values: Tensor) -> Iterator[nn.Module]:
    """The parts that do something; reshapes and means that are a layer under another name become it."""
    for part in parts:
        if isinstance(part, NO_EFFECT_IN_EVAL):
            continue
        output = part(values)
        yield from _renamed(part, values, output)
        values = output


def _renamed(part: nn.Module, values: Tensor, output: Tensor) -> tuple[nn.Module, ...]:
    pair = _attempted(as_low_rank, part, values)
    if pair is not None:
        return (pair,)
    if isinstance(part, fx.GraphModule) and next(part.parameters(), None) is None:
        stand_ins = ((nn.Flatten(),), (nn.AdaptiveAvgPool2d(1), nn.Flatten()), (nn.AdaptiveAvgPool2d(1),))
        for layers in stand_ins:
            found = _attempted(nn.Sequential(*layers), values)
            if found is not None and found.shape == output.shape and torch.allclose(found, output, rtol=1e-5, atol=1e-7):
                return layers
    return (part,)
