"""Wrong answers that nobody thought of: every mutation of a model solution that computes something else is refused.

Whether it does is told by samples of the tests' own, wider than the cases of the exercise. The two exercises whose answer
is a choice of experiments compute nothing, and are left to the remembered wrong answers.
"""

from collections import OrderedDict
from math import isclose

import pytest
import torch
from lessons import LESSONS, read, solutions, tagged
from mutants import mutants
from torch import nn

from lab.course.exercises import check
from lab.course.exercises.checking import exercises

CHOICES = ("one_change_that_hides", "three_tries")


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def integers(*shape, seed=0):
    return torch.randint(1, 50, shape, generator=torch.Generator().manual_seed(seed))


def network(seed=0, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(flat=nn.Flatten(), first=nn.Linear(6, 5), norm=nn.BatchNorm1d(5), last=nn.Linear(5, classes))
    ).eval()


def gradient(seed):
    shapes = {"a": (30, 20), "b": (30,), "c": (7, 30)}
    return {
        name: scale * randn(*shape, seed=seed + place)
        for place, (scale, (name, shape)) in enumerate(zip((1, 3, 0.4), shapes.items(), strict=True))
    }


def layer(outputs, inputs, seed, silent=0, loudest=0.0):
    delta = randn(outputs, seed=seed)
    delta[:silent] = 0
    if loudest:
        delta[-1] = loudest
    noise = 1e-4 * randn(outputs, inputs, seed=seed + 1) if loudest else 0
    return torch.outer(delta, randn(inputs, seed=seed + 2)) + noise, delta


def lucky(seed):
    draws = iter(rand(1000, seed=seed).tolist())
    luck = {}
    return lambda E, n, B, s: luck.setdefault((E, n, B, s), next(draws) < 0.6)


RATINGS = [
    ([True, False, True, True, False], [True, True, True, False, False]),
    ([True] * 9 + [False], [True] * 5 + [False] * 5),
]
VALUES = [[20.0, 21.5, 19.0], [0.1, -3.0, 2.0, 8.0], [-3.0] * 9 + [4.0]]
SAMPLES = {
    "first_recognised": [([0.1, 0.75, 0.9, 0.2], 0.75), ([0.2, 0.3], 0.5), ([0.8, 0.1], 0.5), ([0.1, 0.6, 0.7], 0.5)],
    "client_gradient": [(network(s), rand(3, 1, 2, 3, seed=s), torch.tensor([0, 2, 1])) for s in (0, 1)],
    "count_numbers": [(network(),), (nn.Conv2d(3, 4, 3),), (nn.Linear(3, 4, bias=False),)],
    "invert_fc": [layer(6, 10, 0), layer(9, 4, 3), layer(5, 7, 6, silent=2), layer(6, 8, 9, loudest=-50.0)],
    "mixture_of": [(randn(n, seed=n), rand(n, 5, seed=n)) for n in (2, 3, 6)],
    "label_of": [(randn(c, seed=c).softmax(0) - torch.eye(c)[c // 2],) for c in (2, 5, 10)],
    "cosine_cost": [
        ([randn(3, 4, seed=s), 5 * randn(4, seed=s + 1)], [randn(3, 4, seed=s + 2), randn(4, seed=s + 3)]) for s in (0, 9)
    ],
    "cost_at_the_truth": [(randn(7, seed=1), c) for c in (0.5, 1.0, 3.0, 0.1)],
    "effect": [([{"a": i % 2, "b": i // 2, "ssim": v} for i, v in enumerate((0.9, 0.5, 0.8, 0.1))], f) for f in "ab"],
    "local_updates": [(1, 8, 2), (5, 8, 8), (2, 7, 3), (3, 5, 2), (4, 1, 1)],
    "verdict_table": [(lucky(s), [(1, 4, 2), (5, 1, 1), (5, 8, 8)], [0, 1, 2][: s + 1]) for s in (0, 1, 2)],
    "noisy": [(gradient(s), strength, s) for s, strength in ((0, 0.3), (4, 2.0), (9, 0.0))],
    "psnr_db": [(rand(3, 8, 8, seed=s), rand(3, 8, 8, seed=s + 1)) for s in (0, 5)],
    "agreement": RATINGS,
    "mean_and_error": [(values,) for values in VALUES],
    "patches": [(randn(n, 9, seed=n), randn(n, 9, seed=n).T @ rand(n, 4, seed=n)) for n in (1, 3, 5)],
    "span_distance": [(randn(8, k, seed=k) @ randn(k, 7, seed=k + 1), randn(4, 7, seed=k)) for k in (1, 3, 5)],
    "longest_safe": [(width,) for width in (1, 2, 3, 9, 128)],
    "pooled": [(torch.outer(randn(k, seed=k), randn(6, seed=k + 1)), randn(k, seed=k)) for k in (2, 3, 10)],
    "handshake": [
        ({("C", ("C",)): 2, ("O", ()): 1},),
        ({("C", ("C", "O")): 2, ("O", ("C",)): 2},),
        ({("C", ("C",)): 3},),
        ({("C", ("O",)): 1, ("N", ("O",)): 1},),
        ({("N", ("O", "O")): 1, ("C", ("C",)): 2},),
    ],
    "clip_per_example": [
        (torch.cat([scale * randn(1, 7, seed=place) for place, scale in enumerate((0.1, 1, 9, 0))]), longest)
        for longest in (0.5, 2.0)
    ],
    "epsilon_of": [(0.5, 1, 1e-5), (2.0, 30, 1e-6), (7.0, 200, 1e-3)],
    "noise_of_mean": [(2.0, 0.5, 9), (0.3, 4.0, 100)],
    "masks_cancel": [
        (integers(2, 3, seed=1), {(0, 1): integers(3, seed=2)}),
        (integers(4, 2, seed=3), {(0, 2): integers(2, seed=4), (1, 2): integers(2, seed=5), (0, 3): integers(2, seed=6)}),
    ],
    "interval": [([1.0, 2.0, 4.0], [0.5, 2.5, 1.0], 4.303), ([3.0, 1.0, 2.0, 7.0, 5.0], [2.0, 2.0, 2.5, 1.0, 3.0], 2.776)],
}


def copied(value):
    return (
        value.clone()
        if isinstance(value, torch.Tensor)
        else {k: copied(v) for k, v in value.items()}
        if isinstance(value, dict)
        else value
    )


def outcome(function, arguments):
    """What the function makes of a sample; any exception is an outcome as well, and so is a changed argument."""
    given = [copied(argument) for argument in arguments]
    try:
        answer = function(*given)
    except Exception as error:
        return type(error)
    kept = all(torch.equal(a, b) for a, b in zip(given, arguments, strict=True) if isinstance(a, torch.Tensor))
    return answer if kept else "changed what it was given"


def alike(one, other):
    """The same for a reader, and not to the last digit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        one, other = (
            torch.as_tensor(value, dtype=torch.float64).detach() if isinstance(value, int | float | torch.Tensor) else None
            for value in (one, other)
        )
        return (
            one is not None
            and other is not None
            and one.shape == other.shape
            and torch.allclose(one, other, rtol=0.02, atol=1e-6, equal_nan=True)
        )
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isclose(one, other, rel_tol=0.02, abs_tol=1e-6)
    return one is other or (type(one) is type(other) and one == other)


def finds_the_least_noise(function):
    for edge in (2e-4, 3.3e-3, 0.02, 0.7, 6.0):
        asked = []
        answer = outcome(
            function, (lambda strength, edge=edge, asked=asked: asked.append(strength) or strength < edge, 1e-4, 10.0)
        )
        if not isinstance(answer, int | float) or len(asked) > 12 or not edge <= answer <= 1.2 * edge:
            return False
    return True


def matches_gradients(function):
    """On a network of the tests' own, every tensor of whose gradient is needed for a part of the picture."""
    weights = [randn(5, 4, seed=s) for s in (1, 2)]
    head = randn(3, 10, seed=3).requires_grad_()
    leaves = [weight.requires_grad_() for weight in weights] + [head]

    def gradient_of(x):
        hidden = [torch.sigmoid(piece @ weight.T) for piece, weight in zip(x.flatten(1).split(4, 1), weights, strict=True)]
        value = nn.functional.cross_entropy(torch.cat(hidden, 1) @ head.T, torch.tensor([1]))
        return list(torch.autograd.grad(value, leaves, create_graph=True))

    def costs(x):
        return [float((a.detach() - b).square().sum()) for a, b in zip(gradient_of(x), shared, strict=True)]

    picture, start = rand(1, 1, 2, 4, seed=5), torch.full((1, 1, 2, 4), 0.5)
    shared = [tensor.detach() for tensor in gradient_of(picture)]
    found = outcome(function, (gradient_of, shared, start, 150, 0.05))
    if not isinstance(found, torch.Tensor) or found.shape != start.shape or found.requires_grad:
        return False
    return all(after <= 0.05 * before for after, before in zip(costs(found), costs(start), strict=True))


def computes_the_same(name, function, solution):
    if name == "least_noise":
        return finds_the_least_noise(function)
    if name == "match_gradient":
        return matches_gradients(function)
    answers = [(outcome(function, sample), outcome(solution, sample), sample) for sample in SAMPLES[name]]
    if name == "noisy":  # which way the noise points is nobody's business
        answers = [(sizes(one, sample[0]), sizes(other, sample[0]), sample) for one, other, sample in answers]
    return all(alike(one, other) for one, other, _ in answers)


def sizes(answer, g):
    """How far each number was moved; what is no update of that form stays as it is."""
    if not isinstance(answer, dict) or answer.keys() != g.keys() or any(answer[name].shape != g[name].shape for name in g):
        return answer
    return {name: (answer[name] - g[name]).abs() for name in g}


def sources():
    """Of each exercise, the lesson's imports and the source of the model solution."""
    for path in LESSONS:
        notebook = read(path)
        imports = "\n".join(cell.source for cell in tagged(notebook, "imports"))
        for cell in tagged(notebook, "solution"):
            yield cell.id.removesuffix("-solution"), imports, cell.source


SOURCES = {name: (imports, source) for name, imports, source in sources() if name not in CHOICES}


@pytest.mark.parametrize("name", SOURCES)
def test_every_mutation_that_computes_something_else_is_refused(name):
    imports, source = SOURCES[name]
    solution, tried, passed = solutions()[name], 0, []
    assert computes_the_same(name, solution, solution)
    with torch.random.fork_rng(devices=[]):  # a wrong answer may well draw from the global generator
        for done, text in mutants(source):
            namespace = {}
            exec(imports, namespace)
            exec(text, namespace)
            function = namespace[name]
            if not computes_the_same(name, function, solution):
                tried += 1
                if check(name, function).passed:
                    passed.append(done)
    assert tried >= 2
    assert passed == [], "accepted, and wrong"


def test_all_exercises_that_compute_are_mutated():
    assert set(SOURCES) | set(CHOICES) == set(exercises())
