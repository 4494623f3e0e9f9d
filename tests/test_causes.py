"""What a failure says of its cause is measured on that failure, figure by figure."""

import functools

import pytest
import torch
from torch.nn import functional

from lab import reconstruct, simulate_round
from lab.experiments.failures import FAILURES

MEASURED = {}


def cause_of(name):
    """Registers the measurement of one failure's cause."""
    return functools.partial(MEASURED.__setitem__, name)


def attacked(experiment):
    """The round, and the last state of its attack."""
    round_ = simulate_round(experiment)
    *_, last = reconstruct(experiment, round_.observation)
    return round_, last


def alike(one, other):
    """The cosine between two pictures, each less its mean; 1 is alike, -1 the negative."""
    return float(functional.cosine_similarity(*((x - x.mean()).flatten() for x in (one, other)), dim=0))


def shares(experiment):
    """Each layer's part of the gradient's square length, bias and weight together."""
    update = simulate_round(experiment).observation.update
    lengths = {}
    for name, value in update.items():
        layer = name.rpartition(".")[0]
        lengths[layer] = lengths.get(layer, 0.0) + float(value.square().sum())
    return {layer: length / sum(lengths.values()) for layer, length in lengths.items()}


def layer_outputs(round_, kind):
    """What every layer of a kind gives for the private pictures."""
    outputs = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.detach()))
        for module in round_.observation.network.modules()
        if isinstance(module, kind)
    ]
    round_.observation.network(round_.batch.images)
    for hook in hooks:
        hook.remove()
    return outputs


@cause_of("repeated_labels")
def four_that_are_one(failure):
    round_, last = attacked(failure.experiment)
    assert all(alike(last.candidate[0], other) > 0.99 for other in last.candidate)
    mean = alike(last.candidate[0], round_.batch.images.mean(0))
    assert all(mean > alike(last.candidate[0], true) + 0.1 for true in round_.batch.images)


@cause_of("wrong_label")
def the_negative(failure):
    round_, last = attacked(failure.experiment)
    assert last.labels.tolist() != round_.batch.labels.tolist()
    assert alike(last.candidate, round_.batch.images) < -0.5


@cause_of("late_training")
def where_the_gradient_lies(failure):
    trained, untrained = shares(failure.experiment), shares(failure.mended)
    assert 0.4 < trained["features.0"] < 0.5, "nearly half"
    assert 0.08 < trained["head.0"] < 0.12, "a tenth"
    assert 0.75 < untrained["head.0"] < 0.85, "four fifths"


@cause_of("loudest_layer")
def most_in_one(failure):
    assert shares(failure.experiment)["features.0"] > 0.6


@cause_of("too_smooth")
def pulls_harder(failure):
    (prior,) = failure.experiment.attack.priors
    match = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    _, gradient = prior.value_and_gradient(match.sigmoid())
    for progress, times in ((0.0, 20.0), (1.0, 3.0)):
        pull = (prior.factor(gradient, match, progress) * gradient).abs().mean()
        assert float(pull / match.abs().mean()) == pytest.approx(times)


@cause_of("too_few_steps")
def broad_shapes_only(failure):
    round_, last = attacked(failure.experiment)

    def broad(pictures):
        return functional.interpolate(functional.avg_pool2d(pictures, 8), scale_factor=8)

    true, found = round_.batch.images, last.candidate
    assert alike(broad(found), broad(true)) > 0.9
    assert alike(found - broad(found), true - broad(true)) < 0.75


@cause_of("shorter_gradient")
def a_tenth(failure):
    round_ = simulate_round(failure.experiment)
    for name, sent in round_.observation.update.items():
        torch.testing.assert_close(sent, 0.1 * round_.clean_update[name])


@cause_of("features_only")
def the_features_it_gives(failure):
    round_, last = attacked(failure.experiment)
    entering = layer_outputs(round_, torch.nn.ReLU)[-1].flatten(1)
    torch.testing.assert_close(last.features, entering, rtol=1e-3, atol=1e-3 * float(entering.abs().max()))


@cause_of("moving_layers")
def features_that_moved(failure):
    """The steps are the client's own, taken here by hand on the known pictures and labels."""
    round_ = simulate_round(failure.experiment)
    network, protocol = round_.observation.network, failure.experiment.protocol
    before = layer_outputs(round_, torch.nn.Conv2d)
    assert protocol.local_steps == 16
    parameters = list(network.parameters())
    for _ in range(16):
        loss = functional.cross_entropy(network(round_.batch.images), round_.batch.labels)
        with torch.no_grad():
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.sub_(protocol.learning_rate * slope)
    moved = [
        float((new - old).norm() / old.norm()) for old, new in zip(before, layer_outputs(round_, torch.nn.Conv2d), strict=True)
    ]
    assert moved[-1] > 0.2, "the last convolution's features, by a fifth of their length at least"


@cause_of("saturated_sigmoids")
def at_their_ends(failure):
    def part(experiment):
        outputs = torch.cat([output.flatten() for output in layer_outputs(simulate_round(experiment), torch.nn.Sigmoid)])
        return float((torch.minimum(outputs, 1 - outputs) < 0.05).float().mean())

    assert 1 / 3 < part(failure.experiment) < 0.4, "more than a third"
    assert 0.1 < part(type(failure.experiment).from_plain({**failure.experiment.changes(), "trained": False})) < 0.125, (
        "a ninth"
    )


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_cause_says_is_so(name):
    MEASURED[name](FAILURES[name])
