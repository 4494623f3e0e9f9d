"""Gradient matching: what it sees, how it chooses, how it ends."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from rounds import as_round, observe, random_batch, smooth_batch

from lab import Experiment, reconstruct, score, simulate_round
from lab.attacks.derivative.frozen_matcher import FrozenMatcher
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.matching.plateau import Plateau
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.search import Search
from lab.attacks.matching.settings import Derivative, Start
from lab.client.batch import Batch
from lab.client.datasets import gallery
from lab.errors import LabError
from lab.experiments.recommended import recommended_attack
from lab.federated.networks.base import Activation
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.coarse_to_fine import REACH, Grids
from lab.randomness import stream

SHORT = GradientMatching(iterations=4)
GREY = pytest.mark.unnudged("grey is asserted to the bit")


def run(attack, observation, seed=0):
    return list(attack.reconstruct(observation, stream(seed, "candidate")))


@GREY
def test_the_first_state_is_the_untouched_start_and_the_last_carries_the_outcome():
    observation = observe(SmallConvNet(width=4), random_batch(2))
    states = run(SHORT, observation)
    assert torch.equal(states[0].candidate, torch.full_like(states[0].candidate, 0.5))
    assert [state.iteration for state in states] == [0, 1, 2, 3, 4, 4]
    assert [state.outcome for state in states] == [None] * 5 + [MatchingOutcome.BUDGET_SPENT]
    assert torch.equal(states[-1].candidate, states[-2].candidate)


def test_a_given_picture_is_where_the_first_restart_begins_and_stays_as_it_was():
    batch = random_batch(1)
    given, observation = batch.images.clone(), observe(SmallConvNet(width=4), batch)
    states = list(replace(SHORT, restarts=2).reconstruct(observation, stream(0, "candidate"), given))
    assert torch.equal(states[0].candidate, given)
    assert states[0].terms["distance"] < 1e-6
    assert not torch.equal(states[5].candidate, given)
    assert torch.equal(given, batch.images)


def test_states_are_detached_copies():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    states = GradientMatching(iterations=6, coarse_to_fine=False).reconstruct(observation, stream(0, "candidate"))
    first = next(states)
    kept = first.candidate.clone()
    second = next(states)
    assert torch.equal(first.candidate, kept)
    assert not torch.equal(first.candidate, second.candidate)
    assert not second.candidate.requires_grad


@pytest.mark.parametrize("source", list(LabelSource))
def test_a_poisoned_batch_changes_nothing(source):
    """The attack uses the observation only: overwriting the private batch after the round is not noticed."""
    experiment = Experiment(attack=SHORT, labels=source, network=SmallConvNet(width=4))
    honest = simulate_round(experiment)
    expected = list(reconstruct(experiment, honest.observation))[-1]
    poisoned = simulate_round(experiment)
    poisoned.batch.images.fill_(0.123)
    poisoned.batch.labels.fill_(9)
    poisoned.line_up.fill_(0.5)
    for tensor in poisoned.clean_update.values():
        if not any(tensor is sent for sent in poisoned.observation.update.values()):
            tensor.zero_()
    found = list(reconstruct(experiment, poisoned.observation))[-1]
    assert torch.equal(found.candidate, expected.candidate)
    assert found.objective == expected.objective


def test_the_same_seed_gives_the_same_attack_and_another_seed_another():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    attack = replace(SHORT, start=Start.NOISE)
    one, same, other = (run(attack, observation, seed)[-1].candidate for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_noise_is_centred_on_grey_with_the_papers_spread():
    observation = observe(SmallConvNet(width=4), random_batch(4))
    attack = GradientMatching(iterations=1, start=Start.NOISE, coarse_to_fine=False)
    start = run(attack, observation)[0].candidate
    assert float(start.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(start.std()) == pytest.approx(0.25, abs=0.02)


def test_the_box_holds_from_the_first_step_on():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    boxed = GradientMatching(iterations=5, start=Start.NOISE, optimiser=SignedAdam(step=2.0), coarse_to_fine=False)
    for state in run(boxed, observation)[1:]:
        assert float(state.candidate.min()) >= 0
        assert float(state.candidate.max()) <= 1
    free = run(replace(boxed, boxed=False), observation)[-1].candidate
    assert float(free.max()) > 1


def test_coarse_to_fine_moves_broad_shapes_and_pixels_together():
    observation = observe(SmallConvNet(width=4), smooth_batch(1))
    attack = GradientMatching(iterations=20, optimiser=SignedAdam(step=0.01), priors=())
    together, alone = (run(replace(attack, coarse_to_fine=coarse), observation)[1].candidate - 0.5 for coarse in (True, False))
    reach = 0.01 * (1 + REACH + REACH**2 + REACH**3)
    assert float(alone.abs().max()) == pytest.approx(0.01, rel=1e-3)
    assert 0.02 < float(together.abs().max()) <= reach * 1.001
    assert broad_share(together) > 2 * broad_share(alone)
    assert float((together[..., 1:] - together[..., :-1]).abs().max()) >= 0.0199


def broad_share(change):
    """The share of the square length that lives on a 4x4 grid."""
    return float(torch.nn.functional.avg_pool2d(change, 8).square().sum() * 64 / change.square().sum())


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 1, 16, 40), (3, 4, 33, 9)])
def test_the_metric_moves_pixels_as_shapes_that_follow_their_gradients_would(shape):
    slope = torch.randn(shape, generator=stream(0, "slope"), dtype=torch.float64)
    grids = Grids(slope)
    torch.testing.assert_close(grids.spread(slope), slope + grids.up(grids.down(slope)))


def test_broad_shapes_are_drawn_up_once_a_step(monkeypatch):
    """Between two steps they are zero, and drawing them would cost a percent of an iteration for nothing."""
    drawn, up = [], Grids.up
    monkeypatch.setattr(Grids, "up", lambda grids, shapes: drawn.append(shapes) or up(grids, shapes))
    run(SHORT, observe(SmallConvNet(width=4), random_batch(1)))
    assert len(drawn) == SHORT.iterations


def test_pictures_too_small_for_a_coarser_grid_are_stepped_pixel_by_pixel():
    observation = observe(LeNet(), Batch(torch.rand(1, 3, 7, 7, generator=stream(0, "x")), torch.tensor([1])))
    with_grids, without = (run(replace(SHORT, coarse_to_fine=coarse), observation)[-1].candidate for coarse in (True, False))
    assert torch.equal(with_grids, without)


def test_a_fading_prior_ends_with_its_share_of_the_weight():
    observation = observe(SmallConvNet(width=4), smooth_batch(1))
    prior = TotalVariation(weight=2.0, relative=False, fade=0.25)
    states = run(replace(SHORT, start=Start.NOISE, priors=(prior,)), observation)
    paid = [(state.objective - state.terms["distance"]) / state.terms["total_variation"] for state in states[:5]]
    assert paid == pytest.approx([2.0, 2 / 4**0.25, 1.0, 1 / 4**0.25, 0.5])


@dataclass(frozen=True)
class Turning(Distance):
    """A distance that turns into NaN at its n-th call, or from the first."""

    calls = 0
    fails_at = 5

    def __call__(self, candidate, shared):
        type(self).calls += 1
        value = Cosine()(candidate, shared)
        return value * math.nan if type(self).calls >= self.fails_at else value


@pytest.mark.parametrize("fails_at", [1, 2, 5])
def test_nan_ends_the_attack_and_keeps_the_best_picture(fails_at):
    Turning.calls, Turning.fails_at = 0, fails_at
    observation = observe(SmallConvNet(width=4), random_batch(1))
    states = run(GradientMatching(iterations=50, distance=Turning()), observation)
    assert states[-1].outcome is (MatchingOutcome.NEVER_FINITE if fails_at == 1 else MatchingOutcome.NOT_FINITE)
    assert torch.isfinite(states[-1].candidate).all()
    assert len(states) == fails_at
    if fails_at > 1:
        best = min(states[:-1], key=lambda state: state.objective)
        assert torch.equal(states[-1].candidate, best.candidate)


def test_one_failed_restart_does_not_hide_a_good_one():
    Turning.calls, Turning.fails_at = 0, 6
    observation = observe(SmallConvNet(width=4), random_batch(1))
    last = run(GradientMatching(iterations=3, restarts=2, distance=Turning()), observation)[-1]
    assert last.outcome is MatchingOutcome.BUDGET_SPENT
    assert last.restart == 0


def test_restarts_are_chosen_by_distance_alone():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    attack = GradientMatching(iterations=5, restarts=4, start=Start.NOISE, coarse_to_fine=False)
    states = run(attack, observation)
    finals = [state for state in states[:-1] if state.iteration == (state.restart + 1) * 5]
    assert len(finals) == 4
    best = min(finals, key=lambda state: state.terms["distance"])
    assert states[-1].restart == best.restart
    assert torch.equal(states[-1].candidate, best.candidate)
    assert len({float(state.terms["distance"]) for state in finals}) == 4


@pytest.mark.parametrize("optimiser", [SignedAdam(step=0.1), Adam(step=0.1), LBFGS()], ids=lambda o: o.name)
@pytest.mark.parametrize("distance", [Cosine(), Euclidean()], ids=lambda d: d.name)
@pytest.mark.parametrize("prior", [TotalVariation(weight=0.1), TotalVariation(weight=1e-3, relative=False)], ids=repr)
def test_the_attack_comes_closer_in_every_combination(optimiser, distance, prior):
    observation = observe(LeNet(), smooth_batch())
    attack = GradientMatching(iterations=20, distance=distance, optimiser=optimiser, priors=(prior,))
    states = run(attack, observation)
    assert states[-1].terms["distance"] < 0.7 * states[0].terms["distance"]


def test_dlg_finds_picture_and_label_together():
    """Zhu et al. 2019: L-BFGS, squared distance, free labels, no prior, no box; exact in float64."""
    picture = torch.nn.functional.avg_pool2d(gallery.picture(gallery.NAMES[1], 32).double()[None], 2)
    batch = Batch(picture, torch.tensor([4]))
    observation = observe(LeNet(), batch, source=LabelSource.JOINT)
    attack = GradientMatching(
        distance=Euclidean(),
        priors=(),
        optimiser=LBFGS(history=50),
        iterations=200,
        start=Start.NOISE,
        coarse_to_fine=False,
        boxed=False,
    )
    last = run(attack, observation, seed=1)[-1]
    scores = score(as_round(batch, observation), last)
    assert last.labels.tolist() == [4]
    assert scores.label_accuracy == 1.0
    assert scores.psnr_db > 35


@pytest.mark.parametrize("protocol", [FedAvg(local_steps=3, learning_rate=1e-2), FedAvg(4, 1, 1e-2)], ids=repr)
def test_local_steps_are_matched_by_unrolling_them(protocol):
    batch = smooth_batch(2, dtype=torch.float64)
    observation = observe(SmallConvNet(width=8, activation=Activation.SILU), batch, protocol)
    last = run(GradientMatching(iterations=60), observation)[-1]
    scores = score(as_round(batch, observation), last)
    assert scores.psnr_db > scores.grey_psnr_db + 3
    exact = protocol.update(observation.network, batch.images, batch.labels)
    assert float(Cosine()(exact, observation.update)) == pytest.approx(0.0, abs=1e-12)


def test_inferred_labels_are_used_and_reported():
    batch = smooth_batch(3)
    observation = observe(SmallConvNet(width=8), batch, source=LabelSource.INFERRED)
    last = run(SHORT, observation)[-1]
    assert last.labels.tolist() == [0, 1, 2]


def test_known_labels_that_are_missing_are_an_error():
    observation = replace(observe(SmallConvNet(width=4), random_batch(1)), labels=None)
    with pytest.raises(LabError, match="said to be known, but the observation holds none; infer them instead"):
        run(SHORT, observation)


def test_the_network_is_left_as_it_was():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    network = observation.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    run(SHORT, observation)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("patience", [0, 2, 3])
def test_a_plateau_is_so_many_steps_without_a_fall_of_a_hundredth(patience):
    plateau = Plateau(patience)
    seen = [plateau.reached(distance) for distance in (1.0, 0.5, 0.499, 0.48, 0.479, 0.478, 0.477)]
    assert seen == [patience > 0 and idle >= patience for idle in (0, 0, 1, 0, 1, 2, 3)]


def test_a_plateau_ends_the_attempt_with_its_best_picture():
    """From a picture that matches already, nothing falls any more."""
    batch = smooth_batch(1)
    observation = observe(SmallConvNet(width=4), batch)
    attack = GradientMatching(iterations=50, patience=5, optimiser=SignedAdam(step=0.01), priors=())
    states = list(attack.reconstruct(observation, stream(0, "candidate"), batch.images))
    assert states[-1].outcome is MatchingOutcome.CONVERGED
    assert states[-1].iteration == 5
    assert torch.equal(states[-1].candidate, batch.images)


def test_every_restart_may_end_on_its_own_plateau():
    observation = observe(SmallConvNet(width=4), smooth_batch(1))
    attack = GradientMatching(iterations=60, restarts=2, patience=3, optimiser=SignedAdam(step=1e-4), coarse_to_fine=False)
    states = run(replace(attack, start=Start.NOISE), observation)
    assert states[-1].outcome is MatchingOutcome.CONVERGED
    assert {state.restart for state in states} == {0, 1}
    lasts = [[state for state in states[:-1] if state.restart == restart][-1].iteration for restart in (0, 1)]
    assert 3 <= lasts[0] < 60
    assert 63 <= lasts[1] < 120


def test_without_patience_the_whole_budget_is_spent():
    batch = smooth_batch(1)
    attack = GradientMatching(iterations=12, priors=())
    states = list(attack.reconstruct(observe(SmallConvNet(width=4), batch), stream(0, "candidate"), batch.images))
    assert (states[-1].outcome, states[-1].iteration) == (MatchingOutcome.BUDGET_SPENT, 12)


def test_no_picture_is_asked_about_twice_in_a_row(monkeypatch):
    asked = []

    def counted(self, images, targets):
        asked.append(images.clone())
        return genuine(self, images, targets)

    genuine = FrozenMatcher.__call__
    monkeypatch.setattr(FrozenMatcher, "__call__", counted)
    attack = replace(recommended_attack(LeNet(), trained=False), iterations=30)
    states = run(attack, observe(LeNet(), smooth_batch(1)))
    assert not any(torch.equal(one, other) for one, other in pairwise(asked))
    assert len(asked) < 1.2 * len(states), "a line search ends where it first looked, most of the time"


def asked(monkeypatch, attack, observation):
    """The pictures whose updates an attack compares, and its candidates, step by step."""
    pictures = []
    compute = FrozenMatcher.__call__
    monkeypatch.setattr(
        FrozenMatcher,
        "__call__",
        lambda self, images, targets: pictures.append(images.clone()) or compute(self, images, targets),
    )
    candidates = [state.candidate for state in run(attack, observation)[:-1]]
    return torch.stack(pictures), torch.stack(candidates)


def test_annealing_compares_noisy_copies_less_and_less_and_at_last_the_candidate_itself(monkeypatch):
    attack = replace(SHORT, annealing=0.2, iterations=40, coarse_to_fine=False)
    pictures, candidates = asked(monkeypatch, attack, observe(SmallConvNet(width=4), random_batch(1)))
    noise = pictures - candidates
    expected = [0.1 * (1 + math.cos(math.pi * step / 40)) for step in range(38)]
    assert noise[:38].flatten(1).std(1).tolist() == pytest.approx(expected, rel=0.1)
    assert abs(float(noise[:20].mean())) < 0.005
    assert not noise[38:].any()


def test_an_update_of_zeros_ends_the_attack_at_once_and_says_so():
    observation = observe(SmallConvNet(width=4), random_batch(1))
    silent = replace(observation, update={name: torch.zeros_like(part) for name, part in observation.update.items()})
    (state,) = run(replace(SHORT, restarts=1), silent)
    assert (state.outcome, state.iteration) == (MatchingOutcome.SILENT, 0)


@GREY
def test_annealing_leaves_the_priors_the_candidate_itself():
    attack = replace(SHORT, annealing=0.2, coarse_to_fine=False)
    first = run(attack, observe(SmallConvNet(width=4), random_batch(1)))[0]
    assert first.terms["total_variation"] == 0, "the start is grey, and the noise no part of it"


def test_a_line_search_sees_the_same_noise_for_a_whole_step(monkeypatch):
    attack = replace(SHORT, annealing=0.2, optimiser=LBFGS(), derivative=Derivative.FROZEN, coarse_to_fine=False, iterations=2)
    observation = observe(SmallConvNet(width=4), random_batch(1))
    drawn = []
    draw = Search._drawn_perturbation
    monkeypatch.setattr(Search, "_drawn_perturbation", lambda self: drawn.append(draw(self)) or drawn[-1])
    pictures, _ = asked(monkeypatch, attack, observation)
    assert len(pictures) > len(drawn) == 3


def test_annealing_is_seeded():
    attack = replace(SHORT, annealing=0.2)
    observation = observe(SmallConvNet(width=4), random_batch(1))
    first, again, other = (run(attack, observation, seed)[-1].candidate for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
