"""The front door: a model and an update of one's own become what every attack takes.

seen = lab.observe(model, update, input_shape=(3, 32, 32))
seen = lab.observe(model, "update.safetensors")             # a file that lab.capture wrote, with the weights and the recipe
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.lazy import Tensor, nn, np

from lab.errors import LabError, quoted
from lab.federated import captures
from lab.federated.captures import Capture
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.receiving import receive
from lab.federated.recipes import not_simulated, protocol_of
from lab.federated.side_information import check_classes, checked_batch, class_numbers, source_of_labels
from lab.federated.update_names import by_parameter_name_with_counts, spoken_names
from lab.modalities.images.door import checked_shape, normalisation, probe_of

if TYPE_CHECKING:
    Array = Tensor | np.ndarray[Any, Any]
    Model = nn.Module
    Update = Mapping[str, Array | None] | Iterable[Array | None] | str | Path
    Shape = Sequence[int]
    Numbers = float | Sequence[float] | Array
    ClassNumbers = int | Sequence[int] | Array
    Rule = Protocol
    Count = int
    Source = LabelSource
else:  # what comes to the door may be anything, and a sentence says what is wrong with it
    Model = Update = Shape = Numbers = ClassNumbers = Rule = Count = Source = Any


def observe(
    model: Model,
    update: Update,
    *,
    input_shape: Shape | None = None,
    labels: ClassNumbers | None = None,
    batch_size: Count | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    protocol: Rule | None = None,
    label_source: Source | None = None,
) -> Observation:
    """What a server sees that knows ``model`` and got ``update`` from a client, checked and ready to be attacked.

    ``model``
        Any module that gives logits, shape (batch, classes), and is trained by the loss that the ``protocol`` names: the mean
        cross entropy (with a log-softmax at its end, too) unless another is told. It is copied, not changed. Its modes are
        taken to be the client's: give ``model.eval()`` where dropout was off and batch norm used its stored statistics.
    ``update``
        ``{name: tensor}`` by the names of ``model.named_parameters()``, or tensors or arrays in the order of
        ``model.parameters()``, as ``torch.autograd.grad`` gives them, or of ``model.state_dict()``, as Flower sends them:
        the gradient of the batch's mean loss, or what the ``protocol`` says. Cast once to the model's type. Where its batch
        norms counted one step in train mode, that tells the batch's statistics, and matching goes by them. Or the path of a
        capture (``lab.capture``): its weights replace the model's in the copy, and its recipe says whatever is not said here.
    ``input_shape``
        (channels, height, width) of a picture.
    ``labels``
        Class numbers, shape (batch,), where the server knows them; zeros and ones, shape (batch, classes), where a picture has
        any number of them (``BCEWithLogits``). Without them they are inferred.
    ``batch_size``
        Pictures behind the update. Without it as many as labels, or 1.
    ``mean``, ``std``
        The normalisation between pixels in [0, 1] and the model: a number, or one for each channel. Without it the model takes
        pixels as they are. An attack seeks pixels in [0, 1] either way.
    ``protocol``
        The client's rule: ``FedSGD()``, as without it, or ``FedAvg(local_steps=..., learning_rate=...)`` for a change of
        weights; ``FedSGD(loss=lab.BCEWithLogits())`` for another loss than the mean cross entropy.
    ``label_source``
        ``LabelSource.JOINT`` seeks the labels together with the pictures.

    The ``notes`` of what is returned say what was left out or put right, a sentence each. Threads and torch's random numbers
    stay as they were. Raises ``LabError``, one sentence, for whatever cannot be used.
    """
    if isinstance(update, str | Path):
        return _of_capture(
            model,
            captures.read(Path(update)),
            input_shape=input_shape,
            labels=labels,
            batch_size=batch_size,
            mean=mean,
            std=std,
            protocol=protocol,
            label_source=label_source,
        )
    from lab.federated.batch_statistics import statistics_of_change
    from lab.federated.given_names import given_names, names_of_parts
    from lab.federated.own_model import copied, in_eval_mode, trial_logits, unused, unwrapped_model
    from lab.federated.own_network import as_classifier

    protocol = FedSGD() if protocol is None else protocol
    shape, known = checked_shape(input_shape), class_numbers(labels)
    count = checked_batch(batch_size, known, shape)
    _check_protocol(protocol)
    model = unwrapped_model(model)
    given, counts = by_parameter_name_with_counts(model, update)
    own, notes = copied(model)
    own, sent = receive(own, given)
    normalise, probe = normalisation(mean, std, shape[0], own), probe_of(own, (count, *shape))
    notes += in_eval_mode(own, normalise(probe))
    logits = trial_logits(own, normalise(probe), one_logit=protocol.loss.takes_one_logit)
    left_out = unused(own, logits)
    check_classes(known, logits.shape[1], protocol.loss)
    weights = dict(own.named_parameters())
    for name in left_out:
        weights[name].requires_grad_(False)
    named = names_of_parts(own)
    network, more = as_classifier(own, normalise, probe, shift_invariant=protocol.loss.is_shift_invariant)
    called = given_names(network, named)
    now_called = {called[name]: name for name, _ in network.named_parameters()}
    told = counts if protocol.sends_change and len(protocol.steps(count).rows) == 1 else {}
    source = source_of_labels(known, label_source)
    return Observation(
        network=network,
        protocol=protocol,
        update={now_called[name]: tensor for name, tensor in sent.items() if name not in left_out},
        input_shape=shape,
        batch_size=count,
        label_source=source,
        labels=known.to(probe.device) if known is not None and source is LabelSource.KNOWN else None,
        notes=(*notes, *more, *_left_out(model, sent, left_out)),
        batch_statistics=statistics_of_change(model, told, network, now_called, probe) if told else {},
        given_names=called,
    )


def _of_capture(model: Any, capture: Capture, **said: Any) -> Observation:
    """The same of a capture; what was said counts, and the recipe where nothing was."""
    from lab.federated.own_model import unwrapped_model, with_weights

    recipe = capture.recipe
    told: dict[str, Any] = {
        "input_shape": recipe.input_shape,
        "batch_size": recipe.pictures if said["labels"] is None else None,
        "mean": recipe.mean,
        "std": recipe.std,
        "protocol": protocol_of(recipe) if said["protocol"] is None else None,
    }
    chosen: dict[str, Any] = {name: told.get(name) if value is None else value for name, value in said.items()}
    seen = observe(with_weights(unwrapped_model(model), capture.weights, recipe.mode), capture.update, **chosen)
    return replace(seen, notes=(*seen.notes, *not_simulated(recipe, seen.protocol)))


def _check_protocol(given: Any) -> None:
    if not isinstance(given, Protocol):
        raise LabError(f"protocol = {quoted(given)} is no protocol; give lab.FedSGD() or lab.FedAvg(local_steps=4).")


def _left_out(model: nn.Module, sent: Mapping[str, Tensor], unused: set[str]) -> tuple[str, ...]:
    """What of the model the attack goes without."""
    weights = dict(model.named_parameters())
    frozen = [name for name, weight in weights.items() if name not in sent and not weight.requires_grad]
    lacking = [name for name, weight in weights.items() if name not in sent and weight.requires_grad]
    idle = [name for name in weights if name in unused and bool(sent[name].any())]
    notes: list[str] = []
    if frozen:
        notes.append(f"Frozen, and left out: {spoken_names(frozen)}.")
    if lacking:
        notes.append(f"The update lacks {spoken_names(lacking)}, which is taken not to train.")
    if unused:
        notes.append(f"The forward pass does not use {spoken_names(sorted(unused))}, which is left out.")
    if idle:
        notes.append(f"Yet the update is not zero there: {spoken_names(idle)}; is it another model's?")
    return tuple(notes)
