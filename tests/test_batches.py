"""Batches set apart by their labels and carried down through convolutions, against the private pictures' own numbers."""

from dataclasses import replace

import pytest
import torch
from rounds import as_round, observe, random_batch, smooth_batch
from tiny import draw
from torch.nn import functional

from lab.attacks.closed_form.batch_by_labels import MixingEquations, separate_by_labels
from lab.attacks.closed_form.batch_by_whole_head import separate_by_whole_head
from lab.attacks.closed_form.inversion import Inversion
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.recursive import Recursive
from lab.evaluation.layers import layer_scores
from lab.evaluation.scoring import score
from lab.federated.networks.base import Activation
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.modalities.images.scores import psnr_db
from lab.modalities.pairing import best_matching
from lab.randomness import stream

ALONE = Recursive(hand_over=False)


def logits_gradient(features, weight, bias, labels):
    """dL/dW, dL/db and each picture's share of dL/dlogits, by torch."""
    logits = (features @ weight.T + bias).requires_grad_()
    (slopes,) = torch.autograd.grad(functional.cross_entropy(logits, labels), logits)
    return slopes.T @ features, slopes.sum(0), slopes


@pytest.mark.parametrize("labels", [[3], [3, 8], [8, 8], [3, 8, 8, 0], [0, 1, 2, 3, 4, 5, 6, 7]])
def test_inputs_of_one_linear_layer_come_apart_by_their_labels(labels):
    labels = torch.tensor(labels)
    features, weight, bias = draw(len(labels), 20), 0.2 * draw(10, 20, seed=1), draw(10, seed=2)
    into_weight, into_bias, slopes = logits_gradient(features, weight, bias, labels)
    found = separate_by_labels(into_weight, into_bias, weight, bias, labels)
    assert found is not None
    order = torch.cdist(features, found.inputs).argmin(1)  # among pictures of one label any order is right
    assert labels[order].tolist() == labels.tolist()
    torch.testing.assert_close(found.inputs[order], features, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.logit_gradients[order], slopes, atol=1e-6, rtol=0)


def test_the_circles_derivative_is_autograds():
    circle = MixingEquations(draw(10, 3), draw(3, 10, seed=1), draw(3, seed=2), torch.tensor([1, 5, 1]))
    mixing = draw(3, 3, seed=3)
    truth = torch.autograd.functional.jacobian(circle.residual, torch.cat([mixing.flatten(), draw(1, seed=4)]))
    torch.testing.assert_close(circle.jacobian(mixing), truth)


def test_more_pictures_than_the_gradient_has_ranks_stay_mixed():
    labels = torch.arange(12) % 10
    features, weight, bias = draw(12, 20), draw(10, 20, seed=1), draw(10, seed=2)
    into_weight, into_bias, _ = logits_gradient(features, weight, bias, labels)
    assert separate_by_labels(into_weight, into_bias, weight, bias, labels) is None


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.TANH, Activation.SIGMOID])
def test_a_deep_head_is_read_down_to_its_pictures(activation):
    batch = random_batch(5, dtype=torch.float64, labels=[4, 9, 0, 2, 7])
    observed = observe(MLP(depth=3, width=64, activation=activation), batch)
    head = Inversion(observed).head
    assert head is not None
    torch.testing.assert_close(head.inputs, observed.network.embed(batch.images), atol=1e-4, rtol=0)


SHARED_LABELS = [[1, 1], [4, 9, 0, 2], [3, 1, 1], [6, 1, 3, 1]]


@pytest.mark.parametrize("labels", SHARED_LABELS, ids=str)
@pytest.mark.parametrize("sent", [FedSGD(), FedAvg(local_steps=1, learning_rate=0.1)], ids=["gradient", "change"])
@pytest.mark.parametrize("network", [FlowerNet(), MLP(depth=3, width=64), MLP(depth=3, width=64, activation=Activation.TANH)])
def test_a_deep_head_tells_pictures_apart_that_share_a_label(network, sent, labels):
    """And those of which a change of weights lost the last digits: the layers below the last one have them."""
    batch = replace(smooth_batch(len(labels)), labels=torch.tensor(labels))
    observed = observe(network, batch, protocol=sent)
    head = Inversion(observed).head
    assert head is not None
    features = observed.network.embed(batch.images).double()
    order = torch.cdist(features, head.inputs).argmin(1)
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert batch.labels[order].tolist() == labels
    assert (head.inputs[order] - features).norm() < 1e-3 * features.norm()


@pytest.mark.parametrize("spoil", ["noise", "pruning", "another label"])
def test_what_no_batch_sent_is_not_taken_apart_by_the_whole_head(spoil):
    batch = replace(smooth_batch(3, 8), labels=torch.tensor([3, 1, 1]))
    observed = observe(MLP(depth=3, width=16, activation=Activation.TANH), batch)
    sent = {name: tensor.double() for name, tensor in observed.update.items()}
    if spoil == "noise":
        sent = {name: tensor + 1e-3 * tensor.std() * draw(*tensor.shape) for name, tensor in sent.items()}
    if spoil == "pruning":
        sent = {name: tensor * (tensor.abs() > tensor.abs().median()) for name, tensor in sent.items()}
    labels = torch.tensor([3, 1, 1] if spoil != "another label" else [1, 2, 3])
    assert separate_by_whole_head(observed.network.double().head, sent, labels, observed.loss) is None


def test_the_features_of_each_picture_and_their_slopes_are_what_torch_makes():
    batch = random_batch(3, labels=[4, 1, 4])
    observed = observe(LeNet(), batch)
    head = Inversion(observed).head
    assert head is not None
    features = observed.network.embed(batch.images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(functional.cross_entropy(observed.network.head(features), batch.labels), features)
    order = torch.cdist(features.double(), head.inputs).argmin(1)
    torch.testing.assert_close(head.inputs[order].float(), features, atol=1e-4, rtol=0)
    torch.testing.assert_close(head.input_gradients[order].float(), slopes, atol=1e-5, rtol=0)


@pytest.mark.parametrize("labels", [[0, 1, 2], [5, 5, 2]])
def test_several_pictures_are_read_off_through_convolutions(labels):
    batch = smooth_batch(3)
    batch = type(batch)(batch.images, torch.tensor(labels))
    *_, last = ALONE.reconstruct(observe(SmallConvNet(), batch), stream(0, "candidate"))
    assert last.outcome is ClosedFormOutcome.SET_APART
    paired = last.candidate[best_matching(batch.images, last.candidate)]
    assert float(psnr_db(paired, batch.images).min()) > 60


def test_inferred_labels_put_the_layers_in_their_order():
    batch = smooth_batch(3)
    batch = type(batch)(batch.images, torch.tensor([7, 2, 4]))
    observed = observe(SmallConvNet(), batch, source=LabelSource.INFERRED)
    *_, last = ALONE.reconstruct(observed, stream(0, "candidate"))
    attacked = as_round(batch, observed)
    assert last.outcome is ClosedFormOutcome.SET_APART
    assert max(layer.error for layer in layer_scores(attacked, last)) < 1e-2
    scores = score(attacked, last)
    assert scores.max_abs_error is not None
    assert scores.max_abs_error < 1e-3
    assert min(picture.psnr_db for picture in scores.by_input) > 60
