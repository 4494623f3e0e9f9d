"""What every entry of the catalogue promises; a new file is covered without a new test."""

import inspect
from dataclasses import replace

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch, smooth_batch

from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.client.defending import defended, extended, trained
from lab.errors import LabError
from lab.evaluation.scoring import score
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.gradients import parameter_gradient
from lab.federated.inputs import as_mapping, detached, first, flat, is_equal, rows, tree_map
from lab.federated.networks.base import Activation, BatchNorm, Network, Padding
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.mobilenet_v3 import MobileNetV3, Size
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.networks.vgg11 import VGG11
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options import catalogue
from lab.options.catalogue import FOLDERS, entries, summary
from lab.options.fields import fields_of
from lab.randomness import stream

ALL = [pytest.param(entry, id=f"{kind}-{name}") for kind in FOLDERS for name, entry in entries(kind).items()]
DISTANCES = [pytest.param(entry(), id=name) for name, entry in entries("distance").items()]
PRIORS = [pytest.param(entry(), id=name) for name, entry in entries("prior").items()]
DEFENCES = [pytest.param(entry, id=name) for name, entry in entries("defence").items()]
OPTIMISERS = [pytest.param(entry(), id=name) for name, entry in entries("optimiser").items()]

SLIM = {"mlp": MLP(width=32), "small_convnet": SmallConvNet(width=8), "convnet": ConvNet(width=4), "resnet": ResNet(depth=8)}
SLIM |= {"vgg11": VGG11(units=16)}
SLIM |= {"vision_transformer": VisionTransformer(width=16, depth=1), "imagenet_vit": ImageNetViT(width=192)}
NETWORKS = [pytest.param(SLIM.get(name, entry()), id=name) for name, entry in of_pictures("network").items()]
MODALITIES = [pytest.param(entry(), id=name) for name, entry in entries("modality").items()]


def small_shape(network):
    """Pictures as small as the architecture bears, to be quick."""
    return (3, 64, 64) if network.image_size == 224 else (3, 32, 32)


@pytest.mark.parametrize("entry", ALL)
def test_every_entry_says_what_it_is_and_what_its_options_mean(entry):
    assert len(summary(entry)) > 20
    assert "\n" not in summary(entry)
    for field in fields_of(entry):
        assert len(field.help.text) > 5, f"{entry.name}.{field.name} has no help"
        if field.type in (int, float):
            assert field.bounds or field.choices, f"{entry.name}.{field.name} is a number without bounds"


@pytest.mark.parametrize("entry", ALL)
def test_every_entry_has_defaults_that_are_allowed_and_stands_alone_in_its_file(entry):
    assert entry() == entry()
    assert catalogue.find(entry.kind, entry.name) is entry
    assert inspect.getmodule(entry).__name__ == f"lab.{FOLDERS[entry.kind]}.{entry.name}"


def test_an_entry_without_a_docstring_is_refused():
    class Silent(GradientMatching):
        pass

    Silent.__doc__ = ""
    with pytest.raises(LabError, match="has no docstring; add one sentence"):
        summary(Silent)


def first_round(modality, pictures=2):
    """A round of what an experiment begins with that turns to this modality."""
    dataset, network = catalogue.find("dataset", modality.dataset)(), catalogue.find("network", modality.network)()
    return simulate_round(Experiment(dataset=dataset, network=network, batch_size=pictures), torch.device("cpu"))


def close(one, other):
    torch.testing.assert_close(dict(as_mapping(one)), dict(as_mapping(other)))


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modalitys_leaves_make_the_candidate_they_were_made_of_and_stay_inside(modality):
    seen = first_round(modality).observation
    for noise in (False, True):
        candidate = modality.inside(modality.start(seen, stream(0, "start"), noise=noise))
        for broad in (False, True):
            leaves = modality.leaves(candidate, broad=broad)
            close(modality.inputs(leaves, candidate), candidate)
            for leaf in leaves.values():
                leaf.add_(3 * torch.randn(leaf.shape, generator=stream(1, "step")))
            moved = modality.project(leaves, candidate, boxed=True)
            close(moved, modality.inside(moved))
            close(modality.inputs(leaves, candidate), moved)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_pulls_gradients_back_to_its_leaves_as_autograd_does(modality):
    """A number of a leaf that is not to move gets none."""
    seen = first_round(modality).observation
    candidate = modality.inside(modality.start(seen, stream(0, "start"), noise=True))
    towards = tree_map(lambda tensor: torch.randn(tensor.shape, generator=stream(2, "gradient")), candidate)
    leaves = {name: leaf.requires_grad_() for name, leaf in modality.leaves(candidate, broad=True).items()}
    made = modality.inputs(leaves, candidate)
    total = torch.stack([(as_mapping(made)[name] * tensor).sum() for name, tensor in as_mapping(towards).items()]).sum()
    expected = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    found = modality.pull_back(leaves, towards)
    assert all(bool(tensor.any()) for tensor in found.values())
    moving = {name: torch.where(found[name] == 0, 0, tensor) for name, tensor in expected.items()}
    torch.testing.assert_close(found, moving, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_scores_the_truth_best_pairs_it_with_itself_and_decodes_nothing_twice(modality):
    attacked = first_round(modality)
    truth, others = attacked.batch.inputs, rows(attacked.line_up, slice(1, None))
    assert modality.pair(truth, rows(truth, torch.tensor([1, 0]))).tolist() == [1, 0]
    assert modality.scores(truth, truth).keys() == modality.measures.keys()
    assert float(modality.likeness(rows(truth, slice(1)), truth)[0]) == pytest.approx(1, abs=1e-5)
    assert modality.ignorance(truth, others).keys() == modality.controls.keys()
    for answer in modality.ignorance(truth, others).values():
        assert {name: tensor.shape for name, tensor in as_mapping(answer).items()} == {
            name: tensor.shape for name, tensor in as_mapping(truth).items()
        }
    found = modality.decode(modality.start(attacked.observation, stream(0, "start"), noise=True), attacked.observation)
    assert is_equal(modality.decode(detached(found), attacked.observation), found)
    close(modality.unpacked(modality.packed(truth)), modality.unpacked(modality.packed(modality.decode(truth, None))))
    assert modality.main in modality.measures


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_is_simulated_matched_read_off_and_scored(modality):
    attacked = first_round(modality, 1)
    seen = attacked.observation
    for attack in (Analytic(), GradientMatching(priors=(), iterations=3)):
        *_, last = attack.reconstruct(seen, stream(0, "attack"))
        scores = score(last, attacked)
        assert last.outcome is not None
        assert 1 <= scores.line_up_rank <= scores.line_up_size == len(first(attacked.line_up))
        assert {f"{name}_{modality.main}" for name in modality.controls} == scores.controls.keys()
        assert getattr(scores, modality.main) == scores.measures[modality.main] == scores.plain()[modality.main]
        alone = score(last, attacked.batch, seen=seen)
        assert alone.measures == scores.measures
        assert all(modality.files(attacked.batch.inputs, attacked.batch.inputs, [attacked.batch.inputs]).values())
        shown = modality.shown(attacked.batch.inputs)
        assert (shown.kind, len(shown.values)) == (modality.name, 1)
    assert flat(attacked.batch.inputs).shape[0] == 1


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_twice_differentiable_in_its_input(network):
    observation = observe(network, random_batch(1, small_shape(network)))
    leaf = random_batch(1, small_shape(network), seed=1).images.requires_grad_()
    gradient = parameter_gradient(observation.network, leaf, observation.labels, differentiable=True)
    total = torch.stack([(tensor * observation.update[name]).sum() for name, tensor in gradient.items()]).sum()
    slope = torch.autograd.grad(total, leaf)[0]
    assert torch.isfinite(slope).all()
    assert slope.abs().max() > 0


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_built_from_its_generator_alone_in_eval_mode(network):
    shape = small_shape(network)
    models = [network.build(shape, 7, stream(seed, "weights")) for seed in (1, 1, 2)]
    first, same, other = (torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not any(module.training for module in models[0].modules())
    assert models[0](torch.rand(2, *shape, generator=stream(0, "x"))).shape == (2, 7)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_takes_grey_pictures_and_normalises_first(network):
    shape = (1, *small_shape(network)[1:])
    model = network.build(shape, 10, stream(0, "weights"))
    picture = torch.rand(1, *shape, generator=stream(0, "x"))
    assert next(iter(model.children())) is model.normalise
    torch.testing.assert_close(model.normalise.inverse(model.normalise(picture)), picture)
    torch.testing.assert_close(model(picture), model.head(model.features(model.normalise(picture)).flatten(1)))


def test_networks_have_the_sizes_that_the_papers_give():
    def count(network):
        return sum(p.numel() for p in network.build((3, 32, 32), 10, stream(0, "weights")).parameters())

    assert count(LeNet()) == 15_826
    assert count(SmallConvNet()) == pytest.approx(97_000, rel=0.02)
    assert count(ResNet(depth=20)) == pytest.approx(0.27e6, rel=0.02)
    assert count(ResNet(depth=20, widen=4)) == pytest.approx(4.3e6, rel=0.02)
    wide, narrow = count(ConvNet(width=32)), count(ConvNet(width=16))
    assert wide / narrow == pytest.approx(4, rel=0.05)
    assert count(FlowerNet()) == 62_006
    assert count(MLP(depth=1)) == 3 * 32 * 32 * 10 + 10
    assert count(MLP(depth=2, width=5, bias=False)) == 3 * 32 * 32 * 5 + 5 * 10


@pytest.mark.slow
def test_imagenet_networks_have_torchvisions_sizes():
    def count(network):
        return sum(p.numel() for p in network.build((3, 224, 224), 1000, stream(0, "weights")).parameters())

    assert count(ImageNetResNet(depth=18)) == 11_689_512
    assert count(ImageNetResNet(depth=50)) == 25_557_032
    assert count(SqueezeNet()) == 1_248_424
    assert count(VGG11()) == 132_863_336
    assert count(MobileNetV3()) == 2_542_856
    assert count(MobileNetV3(size=Size.LARGE)) == 5_483_032


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("entry", [MLP, LeNet, SmallConvNet, ConvNet, FlowerNet, ResNet])
def test_the_chosen_activation_is_the_one_inside(entry, activation):
    options = {"width": 4} if entry in (SmallConvNet, ConvNet) else {"depth": 8} if entry is ResNet else {}
    model = entry(activation=activation, **options).build((3, 32, 32), 10, stream(0, "weights"))
    layers = {type(a.layer()) for a in Activation}
    found = {type(module) for module in model.modules()} & layers
    assert found == {type(activation.layer())}


@pytest.mark.parametrize("entry", [LeNet, SmallConvNet, ResNet])
def test_with_circular_padding_a_shifted_picture_has_shifted_features(entry):
    """Shifts by the product of the strides; with zero padding the border tells them apart."""
    picture = random_batch(1, dtype=torch.float64).images

    def difference(padding):
        model = entry(padding=padding).build((3, 32, 32), 10, stream(0, "weights")).double()
        body = model.features[:-1] if entry is ResNet else model.features
        with torch.no_grad():
            shifted = body(model.normalise(picture.roll((4, 8), (2, 3))))
            return float((shifted - body(model.normalise(picture)).roll((1, 2), (2, 3))).abs().max())

    assert difference(Padding.CIRCULAR) < 1e-12
    assert difference(Padding.ZERO) > 1e-4


def test_circular_padding_of_the_convnet_shifts_up_to_its_first_pool():
    model = ConvNet(width=4, padding=Padding.CIRCULAR).build((3, 32, 32), 10, stream(0, "weights")).double()
    body = model.features[:18]
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in body)
    picture = model.normalise(random_batch(1, dtype=torch.float64).images)
    torch.testing.assert_close(body(picture.roll((3, 5), (2, 3))), body(picture).roll((3, 5), (2, 3)))


@pytest.mark.parametrize("entry", [ConvNet, ResNet])
def test_batch_norm_with_the_batchs_own_statistics_ties_its_pictures_together(entry):
    batch = random_batch(2, dtype=torch.float64).images
    slim = {"width": 4} if entry is ConvNet else {"depth": 8}
    for mode, tied in ((BatchNorm.EVAL, False), (BatchNorm.TRAIN, True)):
        model = entry(batch_norm=mode, **slim).build((3, 32, 32), 10, stream(0, "weights")).double()
        with torch.no_grad():
            together, alone = model(batch)[0], model(batch[:1])[0]
            again = model(batch)[0]
        assert torch.equal(together, again), "a forward pass changed the statistics"
        assert bool((together - alone).abs().max() > 1e-6) is tied


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_distance_is_zero_at_equality_positive_elsewhere_and_has_a_finite_gradient(distance):
    batch = random_batch(1)
    update = observe(MLP(depth=2, width=8), batch).update
    assert float(distance(update, update)) == pytest.approx(0, abs=1e-6)
    other = observe(MLP(depth=2, width=8), random_batch(1, seed=5)).update
    assert float(distance(other, update)) > 1e-3
    for at in (update, other):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in at.items()}
        slopes = torch.autograd.grad(distance(leaves, update), list(leaves.values()))
        assert all(torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_distance_bears_an_update_of_zeros(distance):
    update = observe(MLP(depth=2, width=8), random_batch(1)).update
    zeros = {name: torch.zeros_like(tensor) for name, tensor in update.items()}
    for candidate, shared in ((update, zeros), (zeros, update), (zeros, zeros)):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in candidate.items()}
        value = distance(leaves, shared)
        slopes = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        assert torch.isfinite(value)
        assert all(torch.isfinite(tensor).all() for tensor in distance.value_and_gradient(candidate, shared)[1].values())
        assert all(slope is None or torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_prior_takes_any_channel_count_and_likes_a_constant_picture_best(prior, channels):
    constant = torch.full((2, channels, 6, 9), 0.3)
    assert float(prior(constant)) == pytest.approx(0, abs=1e-7)
    noisy = torch.rand(2, channels, 6, 9, generator=stream(0, "x"))
    smooth = torch.nn.functional.avg_pool2d(noisy, 3, 1, 1)
    assert float(prior(noisy)) > float(prior(smooth)) > 0


@pytest.mark.parametrize("prior", PRIORS)
def test_a_relative_prior_pulls_with_its_share_of_the_match(prior):
    data, slope = torch.rand(1, 3, 4, 4, generator=stream(1, "x")), torch.rand(1, 3, 4, 4, generator=stream(2, "x"))
    relative = replace(prior, relative=True, weight=0.3)
    pull = relative.factor(slope, data) * slope
    assert float(pull.abs().mean() / data.abs().mean()) == pytest.approx(0.3)
    assert replace(prior, relative=False, weight=0.3).factor(slope, data) == 0.3
    assert float(relative.factor(torch.zeros_like(slope), data)) == 0


@pytest.mark.parametrize("entry", DEFENCES)
@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=2, batch_size=2)], ids=lambda protocol: protocol.name)
def test_a_defence_is_pure_and_the_identity_at_its_weakest(entry, protocol):
    batch = random_batch(3)
    plain = observe(MLP(depth=2, width=8), batch).network
    for defence in (entry.weakest(), *settings(entry), entry.strongest()):
        network = extended([defence], plain, stream(3, "weights of defences"))
        clean = protocol.update(network, batch.images, batch.labels)
        given = [tensor.clone() for tensor in (*clean.values(), *network.parameters(), batch.images)]
        once, twice = (sent(defence, protocol, network, batch, clean) for _ in range(2))
        assert list(once) == list(clean)
        assert all(
            torch.equal(before, now)
            for before, now in zip(given, (*clean.values(), *network.parameters(), batch.images), strict=True)
        ), "what was given was changed"
        for name, tensor in clean.items():
            assert torch.equal(once[name], twice[name]), "the same generator gave another result"
            assert once[name].shape == tensor.shape
            assert not once[name].requires_grad
            if defence == entry.weakest():
                torch.testing.assert_close(once[name], tensor)
    assert any(not torch.equal(once[name], clean[name]) for name in clean)


def sent(defence, protocol, network, batch, clean):
    generator = stream(3, "defence")
    return defended([defence], trained([defence], protocol, network, batch, generator, clean), generator)[0]


def settings(entry):
    """A defence with all its real numbers half way and nearly at their upper bounds, by whatever names they go."""
    bounds = {field.name: field.bounds for field in fields_of(entry) if field.type is float and field.bounds}
    return [
        entry(**{name: low_high.low + share * (low_high.high - low_high.low) for name, low_high in bounds.items()})
        for share in (0.5, 0.95)
    ]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_with_each_optimiser_the_attack_lowers_its_distance(optimiser):
    observation = observe(SmallConvNet(width=4, activation=Activation.SILU), smooth_batch())
    attack = GradientMatching(optimiser=optimiser, iterations=15)
    states = list(attack.reconstruct(observation, stream(0, "candidate")))
    assert states[-1].outcome is MatchingOutcome.BUDGET_SPENT
    assert states[-1].terms["distance"] < 0.9 * states[0].terms["distance"]


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in of_pictures("attack").items()])
def test_an_attack_ends_with_an_outcome_and_pictures_of_the_right_shape(entry):
    options = {"iterations": 3} if "iterations" in {field.name for field in fields_of(entry)} else {}
    observation = observe(MLP(width=8), random_batch(2))
    states = list(entry(**options).reconstruct(observation, stream(0, "candidate")))
    assert states[-1].outcome is not None
    assert all(state.outcome is None for state in states[:-1])
    assert all(state.candidate.shape == (2, 3, 32, 32) for state in states)


def test_networks_are_found_by_their_file():
    assert all(issubclass(entry, Network) for entry in entries("network").values())
    assert entries("network")["lenet"] is LeNet
    assert LBFGS in entries("optimiser").values()
