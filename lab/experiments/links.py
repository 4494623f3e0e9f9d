"""Links: a whole experiment as the query of an address, of at most ``LONGEST`` characters, and back.

    network=lenet&attack=gradient_matching:distance=cosine,iterations=400&seed=3&hide=picture

Only what differs from the default experiment is written, in the words of the command line
(``lab.options.text``), and an attack only where it is not the one recommended for the network.
A link too long in words is written in codes, which are words all the same to ``read``.
A link names no file and carries no picture: whoever opens it may be somebody else, on another machine.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Context
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote

from lab.client.checkpoints.weight_paths import STAGES
from lab.client.datasets.gallery import NAMES as PICTURES
from lab.errors import LabError, unknown_name
from lab.experiments.edits import NAMES, parse_patch, patch_order, patched
from lab.experiments.experiment import Experiment
from lab.experiments.presets import find_preset
from lab.experiments.recommended import recommended_for
from lab.options.fields import Option, fields_of
from lab.options.text import to_text

LONGEST = 300
"""Characters of a query that is written."""
LONGEST_READ = 2000
"""Of one that is read: somebody may have written it by hand."""
SAFE = ":,()+=~._-"
"""Signs that an address takes as they are."""

DIGITS = (6, 4, 3, 2)
"""What is kept of numbers for which a link is too long: as many digits as fit."""
FILES_STAY = "The link leaves out the pictures or weights that come from your own files; export the run as JSON to keep them."

WORDS = """
dataset batch_size image_size network trained protocol defences labels attack seed gallery first
gradient_matching distance priors optimiser iterations restarts start coarse_to_fine derivative boxed
total_variation weight relative fade signed_adam adam lbfgs step schedule history constant cosine steps
balanced_cosine layer_cosine euclidean fedavg local_steps learning_rate width depth activation padding
batch_norm circular leaky_relu head_start convnet small_convnet imagenet_resnet squeezenet gaussian_noise pruning
strength true false frozen exact joint inferred patience
fashion_mnist cifar10 cifar100 mnist split train sigmoid noise scaling label_reading gradinversion recursive
hand_over resnet widen bias rule top_heavy_cosine emphasis annealing mean_gradient normalised_adam
surrogate simulated patient
vision_transformer imagenet_vit patch_embedding patch heads pool positions class_token mean learned fixed
elu group instance layer flower_net vgg11 units
drawing code
clipping longest top_k quantisation bits stochastic low_rank rank
dp_sgd multiplier mixup dropout soteria dp_fedavg
mobilenet_v3 small large
precode size divergence
secure_sum clients rounds
soft_pooling temperature
computes_in sends_in float16 bfloat16
sends_statistics
transformer span wonderland task next_word sentence
trains everything last_layers layers low_rank_pairs first_round
""".split()  # noqa: SIM905  (a list of 80 strings would be a screen)
"""The words that have a code, in the order of their codes. Append only: an old link must keep its meaning."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SIGNS = tuple(f"{dots}{letter}" for dots in ("", ".", "..") for letter in LETTERS)
"""What follows the tilde of a code: one sign for the first words, two and three for the later ones."""
CODES: dict[str, str] = {word: f"~{sign}" for word, sign in zip(WORDS, SIGNS, strict=False)}
COVERED = {name: f"~~{urlsafe_b64encode(sha256(name.encode()).digest())[:2].decode()}" for name in PICTURES}
"""A picture of the gallery under a name that says nothing of it: two signs of a hash, which no other picture moves."""
_MEANINGS = {code: word for word, code in (CODES | COVERED).items()}


@dataclass(frozen=True)
class Link:
    """What a query says."""

    experiment: Experiment
    hidden: tuple[str, ...] = ()
    """Controls that the reader is not to see: a teacher's lesson."""
    notices: tuple[str, ...] = ()
    """One sentence for each part that could not be used; the rest was."""


def write(experiment: Experiment, hidden: Sequence[str] = (), *, covered: bool = False) -> str:
    """The query (without its question mark) from which ``read`` makes the same experiment, but for ``left_out``.

    One that is ``covered`` says of no picture of the gallery which it is.
    """
    portable = without_files(experiment)
    default = replace(Experiment(), attack=recommended_for(portable))
    changed = [field for field in fields_of(Experiment) if getattr(portable, field.name) != getattr(default, field.name)]
    parts = [f"{field.name}={to_text(getattr(portable, field.name))}" for field in changed]
    parts += [f"hide={','.join(hidden)}"] if hidden else []
    while parts:
        words = "&".join(quote(part, safe=SAFE) for part in parts)
        words = _in_codes(words, COVERED) if covered else words
        coded = _in_codes(words, CODES)
        for form in (words, _terse(coded), *(_terse(_rounded(coded, digits)) for digits in DIGITS)):
            if len(form) <= LONGEST:
                return form
        parts.remove(max(parts, key=len))  # a list of a hundred labels fits no link
    return ""


def _in_codes(words: str, codes: Mapping[str, str]) -> str:
    return re.sub(r"[a-z_0-9]+", lambda word: codes.get(word[0], word[0]), words)


def _terse(words: str) -> str:
    """No sign in a number that tells nothing: .1 for 0.1, 3e4 for 3e+04, 0 for 0.0."""
    words = re.sub(r"(?<=[=,(])(\d+)\.0(?=[,)&]|$)", r"\1", words)
    words = re.sub(r"(?<=[=,(])0(?=\.\d)", "", words)
    return re.sub(r"(?<=\d)e([-+])0*(?=\d)", lambda sign: "e" + sign[1].strip("+"), words)


def _rounded(words: str, digits: int) -> str:
    """Long numbers shortened, where a link would be too long for them; towards zero, so that none leaves its bounds."""
    shorter = Context(prec=digits, rounding=ROUND_DOWN)
    return re.sub(r"\d*\.\d{3,}(e[-+]?\d+)?", lambda number: f"{float(shorter.create_decimal(number[0])):.{digits}g}", words)


def left_out(experiment: Experiment) -> str:
    """A sentence about what a link to this experiment cannot carry; empty where it carries everything."""
    if without_files(experiment) != experiment:
        return FILES_STAY
    kept = read(write(experiment)).experiment
    lost = [field.name for field in fields_of(Experiment) if getattr(kept, field.name) != getattr(experiment, field.name)]
    return f"The link is too short for all of: {', '.join(lost)}; export the run as JSON to keep them." if lost else ""


def without_files(experiment: Experiment) -> Experiment:
    """The experiment with the default in place of every choice that names a file of one's own or holds a picture."""
    default = Experiment()
    dataset = default.dataset if _has_text(experiment.dataset) else experiment.dataset
    shipped = experiment.weights in [path.name for path in STAGES.glob("*.safetensors")]
    return replace(experiment, dataset=dataset, weights=experiment.weights if shipped else default.weights)


def _has_text(option: Option) -> bool:
    """Whether some field holds free text that is no name: a path, or a picture."""
    texts = [field for field in fields_of(type(option)) if field.choices is None and "str" in str(field.type)]
    free = [field for field in texts if not field.is_name]
    return any(getattr(option, field.name) != field.default for field in free)


def read(query: str, check: Callable[[Experiment], Any] = lambda experiment: None) -> Link:
    """What a query says; parts that are wrong, or after which ``check`` raises ``LabError``, are left out with a notice.

    Never raises.
    """
    link = Link(Experiment())
    query = query.rpartition("?")[2].replace(" ", "+")
    if len(query) > LONGEST_READ:
        return replace(link, notices=("The link is too long to be one of the lab's; it was not read.",))
    said = [_pair(part) for part in query.split("&") if part]
    for key, value in sorted(said, key=_place):
        try:
            changed = _with(link, key, value)
            check(changed.experiment)
            link = changed
        except LabError as error:
            link = replace(link, notices=(*link.notices, str(error)))
    return link


def _place(said: tuple[str, str]) -> tuple[bool, ...]:
    """A preset comes before what changes it."""
    return (said[0] != "preset", *patch_order(said[0]))


def _pair(part: str) -> tuple[str, str]:
    text = re.sub(r"~~..|~\.{0,2}.", lambda code: _MEANINGS.get(code[0], code[0]), unquote(part))
    key, _, value = text.partition("=")
    return key, value


def _with(link: Link, key: str, value: str) -> Link:
    if key == "hide":
        return replace(link, hidden=tuple(name for name in value.split(",") if name))
    if key == "preset":
        return replace(link, experiment=find_preset(value).experiment)
    if key not in NAMES and "." not in key:
        raise unknown_name("option in a link", key, {*NAMES, "preset", "hide"})
    changed = patched(link.experiment, [parse_patch(key, value)])
    if without_files(changed) != changed:
        raise LabError(f"A link cannot name files or carry pictures, so {key} is left out; choose them on the page.")
    return replace(link, experiment=changed)
