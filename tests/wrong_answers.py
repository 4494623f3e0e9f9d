"""What students really write: typical wrong answers to each exercise, and a few words of the hint that each should get."""

import math
import statistics
from collections import Counter

import torch
from torch.nn import functional


def gradients(model, x, y, reduction="mean", sign=1, soften=False):
    logits = model(x).softmax(1) if soften else model(x)
    value = sign * functional.cross_entropy(logits, y, reduction=reduction)
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(value, model.parameters()), strict=True))


def accumulated(model, x, y):
    functional.cross_entropy(model(x), y).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def of_the_picture(model, x, y):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(functional.cross_entropy(model(x), y), x)[0]


def descend(gradient_of, shared, x, steps, rate, sign=1, aim=True, tensors=None, clear=True):
    x = x.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        pairs = list(zip(gradient_of(x), shared, strict=True))[:tensors]
        cost = sign * sum((a - b if aim else a).square().sum() for a, b in pairs)
        if clear:
            adam.zero_grad()
        cost.backward()
        adam.step()
    return x.detach()


def hanging(gradient_of, shared, x, steps, rate):
    for _ in range(steps):
        gradient_of(x)
    return x.clone().requires_grad_() * 1.5


def compared_once(gradient_of, shared, x, steps, rate):
    gradient_of(x)
    return x + 0.01


def flat(g):
    return torch.cat([tensor.flatten() for tensor in g])


def angle(g, star):
    return functional.cosine_similarity(flat(g), flat(star), dim=0)


def layer_angles(g, star):
    return [functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in zip(g, star, strict=True)]


def with_noise(g, deviation, seed, draw=torch.randn):
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    return {name: tensor + deviation(tensor) * draw(tensor.shape, generator=generator) for name, tensor in g.items()}


def uniform(shape, generator):
    return (torch.rand(shape, generator=generator) - 0.5) * 12**0.5


def two_valued(shape, generator):
    return torch.randn(shape, generator=generator).sign()


def one_sided(shape, generator):
    return torch.randn(shape, generator=generator).abs()


def right_size(g, strength):
    return lambda tensor: strength * norm(g) / count(g) ** 0.5


def summed_norms(g):
    return sum(tensor.norm() for tensor in g.values())


def norm(g):
    return flat(g.values()).norm()


def count(g):
    return flat(g.values()).numel()


def same_noise(g, strength, seed):
    deviation = strength * norm(g) / count(g) ** 0.5
    fresh = {name: torch.Generator().manual_seed(seed) for name in g}
    return {n: t + deviation * torch.randn(t.numel(), generator=fresh[n]).view(t.shape) for n, t in g.items()}


def in_place(g, strength, seed):
    for tensor in g.values():
        tensor.add_(strength)
    return g


def scan(recognisable, low, high):
    strength = low
    while recognisable(strength):
        strength *= 1.1
    return strength


def halve(recognisable, low, high, middle, end):
    for _ in range(12):
        between = middle(low, high)
        low, high = (between, high) if recognisable(between) else (low, between)
    return (low, high)[end]


def paired(a, b):
    return [one - other for one, other in zip(a, b, strict=True)]


def around(middle, half):
    return middle - half, middle + half


def mse(a, b):
    return float((a - b).square().mean())


def kappa(mine, theirs, chance):
    same = sum(a == b for a, b in zip(mine, theirs, strict=True)) / len(mine)
    return (same - chance) / (1 - chance)


def outside(rows, candidates, cut=1e-6, relative=True, squared=False, inside=False, divided=True):
    _, sizes, basis = torch.linalg.svd(rows, full_matrices=False)
    basis = basis[sizes > (cut * sizes[0] if relative else cut)]
    within = candidates @ basis.T @ basis
    length = (within if inside else candidates - within).norm(dim=1) / (candidates.norm(dim=1) if divided else 1)
    return length.square() if squared else length


def ends(counts):
    found = Counter()
    for (centre, around), count in counts.items():
        for other in around:
            found[centre, other] += count
    return found


def balanced(found, one, other):
    """Whether as many ends are asked of each kind as it asks; between C and C an even number."""
    asking, asked = (sum(count for pair, count in found.items() if pair[place] == one) for place in (0, 1))
    return asking == asked and (one != other or found[one, other] % 2 == 0)


def agree(found, one, other):
    return found[one, other] == found[other, one] and (one != other or found[one, other] % 2 == 0)


def shaken(counts, met=lambda found, one, other: True):
    found = ends(counts)
    return sum(found.values()) // 2 if all(met(found, *pair) for pair in found) else None


def shortened(each, longest, lengths):
    return each * (longest / lengths).clamp(max=1)


def from_rho(rho, delta, log=math.log):
    return rho + 2 * math.sqrt(rho * log(1 / delta))


def rho_of(multiplier, steps=1):
    return steps / (2 * multiplier**2)


def masked(updates, pairs, low=1, high=-1):
    sent = updates.clone()
    for (one, other), mask in pairs.items():
        sent[one] += low * mask
        sent[other] += high * mask
    return sent


def masked_in_place(updates, pairs):
    for (one, other), mask in pairs.items():
        updates[one] += mask
        updates[other] -= mask
    return updates


WRONG = {
    "first_recognised": [
        (lambda likeness, threshold: likeness.index(max(likeness)), "best frame"),
        (lambda likeness, threshold: next((i for i, v in enumerate(likeness) if v > threshold), None), ">="),
        (lambda likeness, threshold: next((i for i, v in enumerate(likeness, 1) if v >= threshold), None), "counts from 1"),
        (lambda likeness, threshold: next((v for v in likeness if v >= threshold), None), "number of the frame"),
        (lambda likeness, threshold: next((i for i, v in enumerate(likeness) if v >= threshold), -1), "`None`"),
    ],
    "one_change_that_hides": [
        (lambda: {}, "as a dictionary"),
        (lambda: {"trained": True, "batch_size": 4}, "2 changes at once"),
        (lambda: {"attack": {"name": "gradient_matching", "iterations": 1}}, "weakens the server"),
        (lambda: {"seed": 12}, "another secret"),
        (lambda: {"defences": [{"name": "gaussian_noise", "strength": 0.01}]}, "go further"),
        (lambda: {"defence": "noise"}, "Did you mean 'defences'"),
    ],
    "client_gradient": [
        (lambda model, x, y: gradients(model, x, y, "sum"), "mean over the batch"),
        (lambda model, x, y: gradients(model, x, y, soften=True), "does the softmax itself"),
        (lambda model, x, y: gradients(model, x, y, sign=-1), "sign is turned"),
        (accumulated, "adds up over calls"),
        (of_the_picture, "dL/dx"),
        (lambda model, x, y: list(gradients(model, x, y).values()), "without their names"),
    ],
    "count_numbers": [
        (lambda model: len(list(model.parameters())), "counts tensors"),
        (lambda model: sum(p.numel() for n, p in model.named_parameters() if "weight" in n), "biases are missing"),
        (lambda model: sum(t.numel() for t in model.state_dict().values()), "no gradient"),
        (lambda model: sum(p.numel() * p.element_size() for p in model.parameters()), "bytes"),
        (lambda model: sum(len(p) for p in model.parameters()), "counts rows"),
    ],
    "invert_fc": [
        (lambda dW, db: db[db.abs().argmax()] / dW[db.abs().argmax()], "upside down"),
        (lambda dW, db: dW[:, 0] / db, "row i"),
        (lambda dW, db: dW[0] / db[0], "0 / 0"),
        (lambda dW, db: dW[db.argmax()] / db.max(), "sign aside"),
        (lambda dW, db: dW[db.abs().argmax()], "not yet divided"),
        (lambda dW, db: dW / db.unsqueeze(1), "one row is enough"),
    ],
    "mixture_of": [
        (lambda delta, x: x.mean(0), "plain mean"),
        (lambda delta, x: delta @ x, "divide it by dL/db_i"),
        (lambda delta, x: delta.abs() @ x / delta.abs().sum(), "keep their sign"),
        (lambda delta, x: delta.softmax(0) @ x, "no softmax"),
        (lambda delta, x: x[delta.abs().argmax()], "not alone"),
    ],
    "match_gradient": [
        (lambda gradient_of, shared, x, steps, rate: x, "computed 0 times"),
        (compared_once, "computed 1 times"),
        (lambda *given: descend(*given, sign=-1), "has grown"),
        (lambda *given: descend(*given, aim=False), "subtract g*"),
        (lambda *given: descend(*given, tensors=1), "others do not"),
        (lambda *given: descend(*given, clear=False), "zero_grad"),
        (hanging, "x.detach()"),
        (lambda gradient_of, shared, x, steps, rate: gradient_of(x), "tensor of shape"),
    ],
    "label_of": [
        (lambda db: int(db.argmax()), "largest entry"),
        (lambda db: db.min(), "its place"),
        (lambda db: int(db.argmin()) + 1, "counted from 0"),
        (lambda db: int(db.abs().argmin()), "nearest to zero"),
    ],
    "cosine_cost": [
        (angle, "1 - cos"),
        (lambda g, star: 1 - sum(layer_angles(g, star)) / len(g), "one angle over all"),
        (lambda g, star: 1 - flat(g) @ flat(star), "not divided"),
        (lambda g, star: (flat(g) - flat(star)).square().sum(), "Euclidean cost"),
        (lambda g, star: 1 - flat(g) @ flat(star) / flat(star).square().sum(), "both lengths"),
    ],
    "cost_at_the_truth": [
        (lambda g, c: (0.0, abs(1 - c) * float(g.norm())), "square of the length"),
        (lambda g, c: (0.0, float((c * g).square().sum())), "difference g - c g"),
        (lambda g, c: (0.0, 0.0), "Euclidean cost does"),
        (lambda g, c: (1.0, float((g - c * g).square().sum())), "1 - 1"),
        (lambda g, c: (1 - c, float((g - c * g).square().sum())), "stays"),
    ],
    "three_tries": [
        (lambda: [{"iterations": 5 * n} for n in range(1, 6)], "you have 3"),
        (lambda: [{"iterations": 30}], "you compare lengths"),
        (lambda: [{"distance": {"name": "cosine"}, "iterations": 50}], "drown the others"),
        (lambda: [{"distance": {"name": "balanced_euclidean"}, "iterations": 50}], "you still compare lengths"),
        (lambda: [{"distance": {"name": "balanced_cosine"}, "iterations": 5000}], "400 in all"),
        (lambda: [{"distance": {"name": "balanced_cosine"}, "iterations": 30}], "the steps ran out"),
        (lambda: {"iterations": 100}, "list of tries"),
        (lambda: [{"distance": {"name": "cosin"}}], "Did you mean 'cosine'"),
    ],
    "effect": [
        (lambda runs, f: statistics.fmean(r["ssim"] * (1 - 2 * r[f]) for r in runs) * 2, "sign is turned"),
        (lambda runs, f: sum(r["ssim"] * (2 * r[f] - 1) for r in runs), "these are sums"),
        (lambda runs, f: statistics.fmean(r["ssim"] for r in runs if r[f]), "difference between two means"),
        (lambda runs, f: max(r["ssim"] for r in runs if r[f]) - max(r["ssim"] for r in runs if not r[f]), "anecdote"),
    ],
    "local_updates": [
        (lambda E, n, B: E * (n // B), "round up"),
        (lambda E, n, B: E * n, "B pictures at once"),
        (lambda E, n, B: math.ceil(E * n / B), "within each epoch"),
        (lambda E, n, B: E * n / B, "no fractions"),
        (lambda E, n, B: math.ceil(n / B), "one epoch"),
    ],
    "verdict_table": [
        (lambda attack, settings, seeds: {s: attack(*s, seeds[0]) for s in settings}, "one seed may be lucky"),
        (lambda attack, settings, seeds: {s: sum(attack(*s, seed) for seed in seeds) for s in settings}, "counts"),
        (lambda attack, settings, seeds: {s: any(attack(*s, seed) for seed in seeds) for s in settings}, "give the share"),
        (lambda attack, settings, seeds: [sum(attack(*s, i) for i in seeds) / len(seeds) for s in settings], "dictionary"),
    ],
    "noisy": [
        (lambda g, strength, seed: with_noise(g, lambda t: strength * norm(g), seed), "divide by sqrt(d)"),
        (lambda g, strength, seed: with_noise(g, lambda t: strength, seed), "standard deviation `strength`"),
        (lambda g, strength, seed: with_noise(g, lambda t: strength * t.norm() / t.numel() ** 0.5, seed), "quiet tensors"),
        (
            lambda g, strength, seed: with_noise(g, lambda t: strength * summed_norms(g) / count(g) ** 0.5, seed),
            "add as squares",
        ),
        (lambda g, strength, seed: with_noise(g, right_size(g, strength), 7), "another seed gave the same"),
        (lambda g, strength, seed: with_noise(g, right_size(g, strength), None), "same seed gave other noise"),
        (lambda g, strength, seed: with_noise(g, right_size(g, strength), seed, uniform), "not normal"),
        (lambda g, strength, seed: with_noise(g, right_size(g, strength), seed, two_valued), "same noise as another"),
        (lambda g, strength, seed: with_noise(g, right_size(g, strength), seed, one_sided), "leans to one side"),
        (same_noise, "same noise"),
        (in_place, "work on a copy"),
    ],
    "least_noise": [
        (scan, "Halve the interval"),
        (lambda recognisable, low, high: high, "nothing was tried"),
        (lambda *given: halve(*given, middle=lambda low, high: (low + high) / 2, end=1), "halve the ratio"),
        (lambda *given: halve(*given, middle=lambda low, high: (low * high) ** 0.5, end=0), "still recognised"),
    ],
    "psnr_db": [
        (lambda a, b: 10 * math.log10(mse(a, b)), "sign is turned"),
        (lambda a, b: 20 * math.log10(1 / mse(a, b)), "root of the MSE"),
        (lambda a, b: 10 * math.log(1 / mse(a, b)), "base 10"),
        (lambda a, b: 20 * math.log10(255 / mse(a, b) ** 0.5), "not 255"),
        (lambda a, b: -10 * (a - b).square().sum().log10(), "takes the mean"),
    ],
    "agreement": [
        (lambda mine, theirs: kappa(mine, theirs, 0.0), "Take chance away"),
        (lambda mine, theirs: kappa(mine, theirs, 0.5), "not one half"),
        (lambda mine, theirs: kappa(mine, theirs, sum(mine) * sum(theirs) / len(mine) ** 2), "two terms"),
    ],
    "mean_and_error": [
        (lambda values: (statistics.fmean(values), statistics.stdev(values)), "spread of single runs"),
        (lambda values: (statistics.fmean(values), statistics.pstdev(values) / len(values) ** 0.5), "n - 1, not n"),
        (lambda values: (statistics.fmean(values), statistics.stdev(values) / len(values)), "not with n"),
        (lambda values: (statistics.fmean(values), statistics.variance(values) / len(values)), "its root"),
    ],
    "interval": [
        (lambda a, b, t: around(statistics.fmean(paired(a, b)), 1.96 * statistics.stdev(paired(a, b)) / len(a) ** 0.5), "1.96"),
        (lambda a, b, t: around(statistics.fmean(paired(a, b)), t * statistics.stdev(paired(a, b))), "divided by sqrt(n)"),
        (
            lambda a, b, t: around(
                statistics.fmean(paired(a, b)),
                t * math.sqrt((statistics.variance(a) + statistics.variance(b)) / len(a)),
            ),
            "share a seed",
        ),
        (lambda a, b, t: around(-statistics.fmean(paired(a, b)), t * statistics.stdev(paired(a, b)) / len(a) ** 0.5), "a - b"),
    ],
    "patches": [
        (lambda dpos, dW: (torch.linalg.pinv(dpos.T) @ dW).T, "columns of this"),
        (lambda dpos, dW: dpos @ dW, "solves nothing"),
        (lambda dpos, dW: dpos @ dW / dpos.square().sum(1, keepdim=True), "as if one patch were alone"),
        (lambda dpos, dW: torch.linalg.solve(dpos[:, : len(dpos)].T, dW[: len(dpos)]), "use all of them"),
        (lambda dpos, dW: (torch.linalg.pinv(dpos.T) @ dW).mean(0), "mean of the patches"),
    ],
    "span_distance": [
        (lambda gradient, candidates: outside(gradient, candidates, inside=True), "share inside"),
        (lambda gradient, candidates: outside(gradient, candidates, divided=False), "own length"),
        (lambda gradient, candidates: outside(gradient, candidates, squared=True), "squared"),
        (lambda gradient, candidates: outside(gradient, candidates, cut=0.0), "nothing sticks out"),
        (lambda gradient, candidates: outside(gradient, candidates, cut=0.02), "a quiet input"),
        (lambda gradient, candidates: outside(gradient, candidates, cut=0.999), "one direction is not all"),
        (lambda gradient, candidates: outside(gradient, candidates, cut=1e-4, relative=False), "how large a gradient is"),
    ],
    "longest_safe": [
        (lambda width: width, "takes the mean off"),
        (lambda width: width - 1, "any word fits"),
        (lambda width: max(width - 3, 0), "one more may be read"),
        (lambda width: width // 2, "more careful"),
        (lambda width: width - 2, "no words"),
    ],
    "pooled": [
        (lambda dW, db: db @ dW, "divide it by the sum"),
        (lambda dW, db: db @ dW / db.norm(), "not by its root"),
        (lambda dW, db: dW.sum(0) / db.sum(), "divided by zero"),
        (lambda dW, db: dW[db.abs().argmax()], "not yet divided"),
        (lambda dW, db: (dW / db.unsqueeze(1)).mean(0), "hardly loud"),
        (lambda dW, db: dW[db.abs().argmax()] / db[db.abs().argmax()], "keeps all of its noise"),
        (lambda dW, db: db.sign() @ dW / db.abs().sum(), "the square of its slope"),
        (lambda dW, db: dW / db.unsqueeze(1), "one is enough"),
    ],
    "handshake": [
        (lambda counts: sum(ends(counts).values()), "ends of bonds"),
        (lambda counts: sum(len(around) for _, around in counts) // 2, "weigh it by its number"),
        (lambda counts: sum(counts.values()), "these are the atoms"),
        (lambda counts: shaken(counts, lambda found, one, other: sum(found.values()) % 2 == 0), "each pair of kinds"),
        (lambda counts: shaken(counts, lambda found, one, other: found[one, other] == found[other, one]), "an odd number"),
        (
            lambda counts: shaken(counts, lambda found, one, other: one < other or agree(found, one, other)),
            "each pair of kinds",
        ),
        (
            lambda counts: shaken(counts, lambda found, one, other: one > other or agree(found, one, other)),
            "each pair of kinds",
        ),
        (lambda counts: shaken(counts, balanced), "each pair of kinds"),
        (lambda counts: None, "returned nothing"),
    ],
    "clip_per_example": [
        (lambda each, longest: longest * each / each.norm(dim=1, keepdim=True), "short examples were stretched"),
        (lambda each, longest: shortened(each, longest, each.norm()), "clips all examples together"),
        (lambda each, longest: each.clamp(-longest, longest), "cuts single numbers"),
        (lambda each, longest: shortened(each, longest, each.norm(dim=0)), "lengths of columns"),
        (lambda each, longest: shortened(each, longest, each.abs().sum(1, keepdim=True)), "root of the sum of squares"),
        (lambda each, longest: each * (each.norm(dim=1, keepdim=True) <= longest), "thrown away"),
        (lambda each, longest: shortened(each, longest, each.norm(dim=1, keepdim=True)).sum(0), "they are added up later"),
        (lambda each, longest: shortened(each.mean(0), longest, each.mean(0).norm()), "clips the mean"),
        (lambda each, longest: each.mul_(0.5), "work on a copy"),
    ],
    "epsilon_of": [
        (lambda multiplier, steps, delta: from_rho(rho_of(multiplier), delta), "this is one round"),
        (lambda multiplier, steps, delta: steps * from_rho(rho_of(multiplier), delta), "epsilons do not add up so"),
        (lambda multiplier, steps, delta: 2 * math.sqrt(rho_of(multiplier, steps) * math.log(1 / delta)), "does not fade"),
        (lambda multiplier, steps, delta: rho_of(multiplier, steps), "what delta buys is missing"),
        (
            lambda multiplier, steps, delta: (
                rho_of(multiplier, steps) + math.sqrt(rho_of(multiplier, steps) * math.log(1 / delta))
            ),
            "differentiate once more",
        ),
        (lambda multiplier, steps, delta: from_rho(rho_of(multiplier, steps), delta, math.log10), "the natural one"),
        (lambda multiplier, steps, delta: from_rho(steps / multiplier**2, delta), "the 2 is missing"),
        (lambda multiplier, steps, delta: from_rho(steps / (2 * multiplier), delta), "the square of the noise"),
        (lambda multiplier, steps, delta: from_rho(rho_of(multiplier, steps**2), delta), "not T squared"),
        (lambda multiplier, steps, delta: 2 * rho_of(multiplier, steps) + math.log(1 / delta), "alpha = 2 alone"),
        (
            lambda multiplier, steps, delta: min(
                rho_of(multiplier, steps) * a + math.log(1 - 1 / a) - math.log(delta * a) / (a - 1)
                for a in (1 + k / 100 for k in range(1, 10_000))
            ),
            "converts more sharply",
        ),
    ],
    "noise_of_mean": [
        (lambda multiplier, longest, clients: multiplier * longest / clients**0.5, "give a pair"),
        (
            lambda multiplier, longest, clients: (multiplier * clients**0.5, multiplier * longest / clients**0.5),
            "the other way round",
        ),
        (lambda multiplier, longest, clients: (multiplier * longest, multiplier * clients**0.5), "the noise of one client"),
        (lambda multiplier, longest, clients: (multiplier * longest / clients, multiplier), "cancels in part only"),
        (lambda multiplier, longest, clients: (multiplier * longest * clients**0.5, multiplier), "noise of the sum; the mean"),
        (lambda multiplier, longest, clients: (multiplier / clients**0.5, multiplier), "the multiplier times the bound"),
        (
            lambda multiplier, longest, clients: (multiplier * longest / clients**0.5, multiplier / clients**0.5),
            "the bound over the number of clients",
        ),
        (lambda multiplier, longest, clients: (multiplier * longest / clients**0.5, multiplier), "all others' noise"),
        (
            lambda multiplier, longest, clients: (multiplier * longest / clients**0.5, multiplier * clients),
            "the noise of the mean falls as well",
        ),
        (lambda multiplier, longest, clients: 2 * (multiplier * longest / clients**0.5,), "divide by it"),
    ],
    "masks_cancel": [
        (lambda updates, pairs: updates, "leave in the clear"),
        (lambda updates, pairs: masked(updates, pairs, -1, 1), "the lower number adds"),
        (lambda updates, pairs: masked(updates, pairs, 1, 1), "both of a pair added"),
        (lambda updates, pairs: masked(updates, pairs, -1, -1), "both of a pair took"),
        (lambda updates, pairs: masked(updates, pairs, 1, 0), "only one of each pair"),
        (lambda updates, pairs: masked(updates, pairs) - updates, "masks without the updates"),
        (lambda updates, pairs: masked(updates, pairs).sum(0), "what the server ends with"),
        (lambda updates, pairs: masked(updates, {pair: pairs[pair] for pair in [(0, 1)]}), "The numbers are off"),
        (masked_in_place, "work on a copy"),
    ],
}
