"""PRECODE: what it adds to a client's training, and that the code it draws by chance is divided out of what is sent."""

from dataclasses import replace

import pytest
import torch
from rounds import observe, smooth_batch
from torch.nn.functional import cross_entropy

from lab import Experiment, LabError
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.sampled_code import recover_code
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.precode import Precode
from lab.client.defences.soteria import Soteria
from lab.client.defending import extended, trained, withheld_tensors
from lab.evaluation.scoring import score
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.transformer import Transformer
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.modalities.images.similarity import ssim
from lab.randomness import normal_like, stream

NETWORKS = [SmallConvNet(width=8), LeNet(), MLP(depth=2, width=32)]


def seen(network, batch, *defences, protocol=None, seed=0):
    """What the server sees of a client that trains through bottlenecks."""
    plain = observe(network, batch, protocol)
    grown = extended(defences, plain.network, stream(seed, "weights of defences"))
    sent = trained(defences, plain.protocol, grown, batch, stream(seed, "defence"))
    return replace(plain, network=grown, update=sent, withheld=withheld_tensors(defences, grown))


def gap(one, other):
    wrong = sum(float((one[name] - other[name]).detach().double().square().sum()) for name in other)
    return (wrong / sum(float(tensor.double().square().sum()) for tensor in other.values())) ** 0.5


@pytest.mark.parametrize("pictures", [1, 3])
def test_a_client_lowers_its_loss_and_the_divergence_of_codes_drawn_by_chance(pictures):
    """Truth: the network written down once more, with torch's own divergence of two normal distributions."""
    batch = smooth_batch(pictures, size=8)
    observed = seen(MLP(depth=2, width=8), batch, Precode(size=5, divergence=0.3))
    head = observed.network.head
    told = head.encoder(head[:2](observed.network.embed(batch.images)))
    mean, deviation = told[:, :5], (told[:, 5:] / 2).exp()
    code = torch.distributions.Normal(mean, deviation)
    noise = normal_like(mean, stream(0, "defence"))
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    apart = torch.distributions.kl_divergence(code, standard).sum(1).mean()
    loss = cross_entropy(head[-1](head.decoder(mean + deviation * noise)), batch.labels) + 0.3 * apart
    for (name, _), truth in zip(
        observed.network.named_parameters(), torch.autograd.grad(loss, list(observed.network.parameters())), strict=True
    ):
        torch.testing.assert_close(observed.update[name], truth)


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=1, learning_rate=0.5)], ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_with_the_code_that_was_drawn_the_private_picture_sends_what_was_sent(network, protocol):
    batch = smooth_batch(dtype=torch.float64)
    for defences in ((Precode(size=16, divergence=0.0),), (Precode(size=4, divergence=0.0), Precode(size=8, divergence=0.0))):
        observed = seen(network, batch, *defences, protocol=protocol)
        assert gap(protocol.update(observed.network, batch.images, batch.labels), observed.update) > 0.1
        found = recover_code(observed).observation
        assert gap(protocol.update(found.network, batch.images, batch.labels), observed.update) < 1e-6
        assert not found.withheld
        assert recover_code(found) is None, "what was read once is not read again"


def test_what_cannot_be_told_is_left_out_instead():
    """Of several pictures and steps, and behind noise; what another defence leaves out stays so."""
    left_out = {"head.encoder.weight", "head.encoder.bias", "head.decoder.weight", "head.decoder.bias", "head.0.weight"}
    for batch, protocol in ((smooth_batch(2), None), (smooth_batch(), FedAvg(local_steps=2))):
        observed = seen(SmallConvNet(width=4), batch, Precode(), protocol=protocol)
        assert set(observed.withheld) == left_out
        assert recover_code(observed) is None
        *_, last = GradientMatching(iterations=2).reconstruct(observed, stream(0, "candidate"))
        assert "leaves out gradients of head.encoder.weight" in last.note
    observed = seen(SmallConvNet(width=4), smooth_batch(), Precode())
    noisy = GaussianNoise(strength=0.1).apply(observed.update, stream(0, "noise"))
    assert recover_code(replace(observed, update=noisy)) is None
    both = seen(SmallConvNet(width=4), smooth_batch(), Precode(), Soteria())
    assert set(recover_code(both).observation.withheld) <= left_out


def found(network, batch, attack, seed=0):
    *_, last = attack.reconstruct(seen(network, batch, Precode(), seed=seed), stream(seed, "candidate"))
    return float(ssim(last.candidate, batch.images).mean())


def test_whoever_knows_it_finds_more():
    """Truth: SSIM; of one picture the code is read, of two the bottleneck is left out, and a head start goes all the way."""
    for pictures, iterations, margin in ((1, 40, 0.4), (2, 40, 0.1)):
        batch = smooth_batch(pictures, seed=3)
        naive, knowing = (
            found(SmallConvNet(width=8), batch, GradientMatching(iterations=iterations, reading=reading))
            for reading in (False, True)
        )
        assert knowing > naive + margin, (pictures, naive, knowing)
    assert found(SmallConvNet(), smooth_batch(seed=3), HeadStart(iterations=10)) > 0.95


def test_the_lab_attacks_it_by_what_it_recommends():
    experiment = Experiment(network=SmallConvNet(width=8), defences=(Precode(),), attack=GradientMatching(iterations=30))
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    assert last.note.startswith("A bottleneck draws a code by chance, and the update tells which it was")
    assert score(last, attacked).line_up_rank == 1


def test_a_network_without_a_place_for_it_is_told_in_a_sentence():
    network = Transformer(width=16, depth=2).build((8, 60), 2, stream(0, "weights"))
    with pytest.raises(LabError, match="no fully connected layer at its end, before which precode"):
        extended([Precode()], network, stream(0, "weights"))
    assert extended([Precode(size=0)], network, stream(0, "weights")) is network


def test_the_bottleneck_is_no_part_of_the_network_it_is_put_into():
    plain = observe(SmallConvNet(width=4), smooth_batch()).network
    names = list(dict(plain.named_parameters()))
    grown = extended([Precode()], plain, stream(0, "weights"))
    assert list(dict(plain.named_parameters())) == names
    assert set(names) < set(dict(grown.named_parameters()))
