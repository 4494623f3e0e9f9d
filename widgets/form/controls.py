"""The form: which choices the page offers, read off the option fields of the present experiment."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import Experiment
    from lab.options.fields import Field, Option

Control = dict[str, Any]

NAMES = {
    "mlp": "MLP",
    "small_convnet": "small ConvNet",
    "lenet": "LeNet",
    "convnet": "ConvNet",
    "flower_net": "Flower's net",
    "resnet": "ResNet",
    "imagenet_resnet": "ImageNet ResNet",
    "squeezenet": "SqueezeNet",
    "vgg11": "VGG-11",
    "mobilenet_v3": "MobileNetV3",
    "vision_transformer": "vision transformer",
    "imagenet_vit": "ImageNet ViT",
    "gcn": "GCN",
    "graphsage": "GraphSAGE",
    "transformer": "transformer (text)",
    "euclidean": "Euclidean",
    "balanced_euclidean": "balanced Euclidean",
    "layer_cosine": "cosine by layer",
    "top_heavy_cosine": "top-heavy cosine",
    "soft_signs": "soft signs",
    "l1": "L1",
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "silu": "SiLU",
    "gelu": "GELU",
    "sgd": "SGD",
    "dp_sgd": "DP-SGD",
    "dp_fedavg": "DP-FedAvg",
    "top_k": "top k",
    "mixup": "MixUp",
    "soteria": "Soteria",
    "precode": "PRECODE",
    "elu": "ELU",
    "adam": "Adam",
    "signed_adam": "signed Adam",
    "normalised_adam": "normalised Adam",
    "lbfgs": "L-BFGS",
    "zeros": "zero",
    "mse": "MSE",
    "bce_with_logits": "BCE with logits",
}
"""How an entry is written where its file name would look odd."""

IN_SIGHT = {
    "network": ("mlp", "small_convnet", "lenet", "resnet", "vision_transformer"),
    "distance": ("top_heavy_cosine", "cosine", "euclidean"),
    "defence": ("none", "gaussian_noise", "pruning", "quantisation", "dp_sgd"),
}
"""What a choice of many shows first; the others stand behind a button, the one chosen always in sight."""

FOLDER = "folder"
"""The path of the choice among the folders lent, which no single option stands behind."""
STEPS_HELP = "0 sends the gradient itself (FedSGD); else the client trains first and sends how its weights changed (FedAvg)"
BELIEVED = {
    "network": "whose weights these are; only those that fit their shapes are taken",
    "batch_size": "how many the server takes them for",
    "local_steps": "how many the server takes them for; 0 takes the update for a gradient",
}
"""What a choice means where the client is nobody's but itself."""
SUGGESTED_STEPS = (0, 1, 5, 16)
SUGGESTED_BATCHES = (1, 2, 4, 8)
SUGGESTED_ROUNDS = (1, 5, 20)
SUGGESTED = {
    "gaussian_noise.strength": (0.1, 1, 3, 10),
    "pruning.strength": (0.9, 0.99, 0.999),
    "scaling.strength": (0.5, 0.9, 0.99),
    "top_k.strength": (0.9, 0.99, 0.999),
    "clipping.longest": (0.1, 1, 10),
    "quantisation.bits": (1, 2, 4, 8),
    "low_rank.rank": (1, 2, 4, 8),
    "dp_sgd.multiplier": (0.1, 0.5, 1, 3),
    "dp_fedavg.multiplier": (0.1, 0.3, 1, 3),
    "mixup.strength": (0.2, 1, 4),
    "dropout.strength": (0.3, 0.5, 0.8),
    "soteria.strength": (0.1, 0.4, 0.8),
    "precode.size": (16, 64, 256),
    "wonderland.length": (5, 10, 20, 40),
    "transformer.width": (64, 128, 256),
}
"""Values of a field that show what it does."""
TITLES = {
    "molecules.first": "Molecule",
    "wonderland.length": "Places for words in a sentence",
    "tu.first": "Number of the first graph",
}
"""What a field is called whose own name says too little."""


def schema(experiment: Experiment) -> list[Control]:
    """The controls from top to bottom, each with its path, value and what it may become."""
    controls = [*_main(experiment), *(control | {"advanced": True} for control in _advanced(experiment))]
    return _of_an_update(controls) if experiment.dataset.name == "unknown" else controls


def _of_an_update(controls: list[Control]) -> list[Control]:
    """Of an update that was opened: its weights and defences are what they are, and its labels nobody knows."""
    offered = (control for control in controls if control["path"] not in ("trained", "defence"))
    return [control | _believed(control) for control in offered]


def _believed(control: Control) -> Control:
    """What is another in a control of an update that was opened."""
    if control["path"] == "labels":
        options: list[Control] = control["options"]
        return {"options": [option for option in options if option["value"] != "known"]}
    return {"help": BELIEVED.get(control["path"], control["help"])}


def _main(experiment: Experiment) -> Iterator[Control]:
    """What the rail shows without unfolding anything."""
    from lab.options.catalogue import entries

    fields = _fields(experiment)
    yield from _inputs(experiment, fields["dataset"])
    networks = _simplest_first(entries("network"))
    yield _few_in_sight(_choice("network", "Network", experiment.network.name, fields["network"], networks))
    yield from (control for control in _plain_fields("network", experiment.network) if _in_sight(experiment, control))
    yield _switch("trained", "Its weights", experiment.trained, fields["trained"], on="trained", off="untrained")
    attack = _fields(experiment.attack)
    if "distance" in attack:
        name = experiment.attack.distance.name  # type: ignore[attr-defined]
        yield _few_in_sight(_choice("distance", "Loss between gradients", name, attack["distance"], entries("distance")))
    yield _local_steps(experiment)
    size = fields["batch_size"]
    yield _number(
        "batch_size",
        f"{experiment.modality.many.capitalize()} in the batch",
        experiment.batch_size,
        size,
        suggestions=SUGGESTED_BATCHES,
    )
    yield from _budget(experiment, attack)
    yield _number("seed", "Seed", experiment.seed, fields["seed"])


def _inputs(experiment: Experiment, field: Field) -> Iterator[Control]:
    """Which input is private: a picture of the gallery or of a folder; of other kinds whatever their data set lets choose."""
    from lab.client.datasets.gallery import NAMES as PICTURES
    from lab.client.datasets.gallery import Gallery

    if experiment.dataset.modality != Gallery.modality:
        yield from _plain_fields("dataset", experiment.dataset)
        return
    shown = experiment.dataset.first if isinstance(experiment.dataset, Gallery) else ""
    yield _choice("picture", "Picture", shown, field, PICTURES) | {"kind": "gallery"}
    yield from _folders(experiment.dataset, field)


def _folders(dataset: Any, field: Field) -> Iterator[Control]:
    """The folders that this machine lends, where it lends any, and which of its pictures comes first."""
    from lab.client.datasets.lent_folder import LentFolder
    from lab.files.lent_folders import lent

    chosen = dataset.folder if isinstance(dataset, LentFolder) else ""
    if lent():
        control = _choice(FOLDER, "Folder of this machine", chosen, field, ("", *sorted(lent())))
        yield control | {"options": [{**each, "label": str(each["value"]) or "none"} for each in control["options"]]}
    if chosen:
        yield _number("dataset.first", "Number of the first picture", dataset.first, _fields(dataset)["first"])


def _local_steps(experiment: Experiment) -> Control:
    from lab.federated.protocols.fedavg import FedAvg

    count = getattr(experiment.protocol, "local_steps", 0)
    field = _fields(FedAvg())["local_steps"]
    more = {"low": 0, "suggestions": SUGGESTED_STEPS, "help": STEPS_HELP}
    return _number("local_steps", "Local steps before sending", count, field, **more)


def _budget(experiment: Experiment, fields: dict[str, Field]) -> Iterator[Control]:
    """Total variation, of what has pixels, and iterations, where the attack guesses at all."""
    from lab.attacks.matching.priors.total_variation import TotalVariation

    attack: Any = experiment.attack
    if "priors" in fields and experiment.network.modality == TotalVariation.modality:
        weight = next((prior.weight for prior in attack.priors if prior.name == "total_variation"), 0.0)
        field = _fields(TotalVariation())["weight"]
        yield _number("tv", "Total variation", weight, field, high=1.0, step=0.01, slider=True)
    if "iterations" in fields:
        yield _number("iterations", "Iterations", attack.iterations, fields["iterations"], high=10_000, slider=True)


def _advanced(experiment: Experiment) -> Iterator[Control]:
    """What the rail keeps folded: the plain fields of everything chosen above."""
    from lab.options.catalogue import entries

    fields, attack = _fields(experiment), experiment.attack
    yield from _defence(experiment.defences, fields["defences"])
    if experiment.defences:
        yield _number("rounds", "Times that the server asks", experiment.rounds, fields["rounds"], suggestions=SUGGESTED_ROUNDS)
    yield _choice("attack", "Attack", attack.name, fields["attack"], _finding(experiment.network.modality))
    yield from (control for control in _plain_fields("network", experiment.network) if not _in_sight(experiment, control))
    distance = getattr(attack, "distance", None)
    if distance is not None:
        for control in _plain_fields("attack.distance", distance):
            yield control | {"title": f"{control['title']} of the loss"}
    yield _enum("labels", "Labels", experiment.labels, fields["labels"])
    optimiser = getattr(attack, "optimiser", None)
    if optimiser is not None:
        field = _fields(attack)["optimiser"]
        yield _choice("attack.optimiser", "Optimiser", optimiser.name, field, entries("optimiser"))
        yield from _plain_fields("attack.optimiser", optimiser)
    yield from _plain_fields("attack", attack, without="iterations")
    sent = _plain_fields("protocol", experiment.protocol, without="local_steps")
    yield from (control for control in sent if _counts_batches(experiment) or control["path"] != "protocol.sends_statistics")
    yield from _entry_fields("protocol", experiment.protocol, "the client")


def _in_sight(experiment: Experiment, control: Control) -> bool:
    """Whether a network's option is one that its story turns on."""
    return control["path"].rpartition(".")[2] in experiment.network.in_sight


def _counts_batches(experiment: Experiment) -> bool:
    """Whether the client's batch norms, if it has any, are in train mode, so that there is something to send."""
    from lab.federated.networks.base import BatchNorm

    return getattr(experiment.network, "batch_norm", None) is BatchNorm.TRAIN


def _finding(modality: str) -> list[str]:
    """The attacks on inputs of this kind."""
    from lab.attacks.base import Attack
    from lab.options.catalogue import entries

    found = entries("attack").items()
    return [name for name, entry in found if issubclass(entry, Attack) and entry.suits(modality)]


def _defence(defences: Any, field: Field) -> Iterator[Control]:
    """Which defence, and how strong; of several, which only a link or a file can ask for, how strong alone."""
    from lab.experiments.edits import NO_DEFENCE
    from lab.options.catalogue import entries

    if len(defences) < 2:
        name = defences[0].name if defences else NO_DEFENCE
        yield _few_in_sight(_choice("defence", "Defence of the phone", name, field, (NO_DEFENCE, *entries("defence"))))
    for place, defence in enumerate(defences):
        words = defence.name.replace("_", " ")
        for control in _plain_fields(f"defences.{place}", defence):
            yield control | {"title": f"{control['title']} of the {words}"}


def _entry_fields(path: str, option: Option, whose: str) -> Iterator[Control]:
    """A choice for each field that is an entry of the catalogue itself, and the plain fields of the one chosen."""
    from lab.options.catalogue import Entry, entries

    for field in _fields(option).values():
        chosen = getattr(option, field.name)
        if isinstance(chosen, Entry):
            title = f"{field.name.replace('_', ' ').capitalize()} of {whose}"
            yield _choice(f"{path}.{field.name}", title, chosen.name, field, entries(chosen.kind))
            for control in _plain_fields(f"{path}.{field.name}", chosen):
                yield control | {"title": f"{control['title']} of {whose}"}


def _plain_fields(path: str, option: Option, without: str = "") -> Iterator[Control]:
    """A control for each field that is a number, a switch or one of a few names; ``without`` stands elsewhere."""
    for field in _fields(option).values():
        if field.name != without:
            known = f"{getattr(option, 'name', '')}.{field.name}"
            title = TITLES.get(known, field.name.replace("_", " ").capitalize())
            more = {"suggestions": SUGGESTED[known]} if known in SUGGESTED else {}
            yield from (
                control | more for control in _plain_field(f"{path}.{field.name}", title, getattr(option, field.name), field)
            )


def _plain_field(path: str, title: str, value: Any, field: Field) -> Iterator[Control]:
    if field.choices is not None:
        yield _choice(path, title, value, field, field.choices)
    elif isinstance(value, Enum):
        yield _enum(path, title, value, field)
    elif isinstance(value, bool):
        yield _switch(path, title, value, field, on="on", off="off")
    elif isinstance(value, int | float):
        yield _number(path, title, value, field)


def _fields(option: Option) -> dict[str, Field]:
    from lab.options.fields import fields_of

    return {field.name: field for field in fields_of(type(option))}


def _simplest_first(names: Any) -> list[str]:
    """In the order of ``NAMES``; what it does not know comes last."""
    order = list(NAMES)
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def called(name: str) -> str:
    """How an entry is written."""
    return NAMES.get(name, name.replace("_", " "))


def _choice(path: str, title: str, value: Any, field: Field, values: Any) -> Control:
    options = [{"value": other, "label": called(str(other))} for other in values]
    return _control(path, title, "choice", value, field, options=options)


def _few_in_sight(control: Control) -> Control:
    """Those that ``IN_SIGHT`` names come first, in its order; ``sight`` says how many they are."""
    first = IN_SIGHT[control["path"]]
    options = {option["value"]: option for option in control["options"]}
    ordered = [options[name] for name in first] + [option for name, option in options.items() if name not in first]
    return control | {"options": ordered, "sight": len(first)}


def _enum(path: str, title: str, value: Enum, field: Field) -> Control:
    return _choice(path, title, value.value, field, [member.value for member in type(value)])


def _switch(path: str, title: str, value: bool, field: Field, *, on: str, off: str) -> Control:
    options = [{"value": False, "label": off}, {"value": True, "label": on}]
    return _control(path, title, "choice", value, field, options=options)


def _number(path: str, title: str, value: float, field: Field, **more: Any) -> Control:
    """A number with its bounds; ``more`` may narrow them for the page."""
    bounds = {"low": field.bounds.low, "high": field.bounds.high, "log": field.bounds.log} if field.bounds else {}
    whole = field.type is int
    return _control(path, title, "number", value, field, **(bounds | {"whole": whole, "step": 1 if whole else "any"} | more))


def _control(path: str, title: str, kind: str, value: Any, field: Field, **more: Any) -> Control:
    base: Control = {"path": path, "title": title, "kind": kind, "value": value}
    return base | {"help": field.help.text, "unit": field.help.unit, "advanced": False} | more
