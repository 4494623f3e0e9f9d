"""Training on a small learnable set: the loss falls, the recipe is kept, and an interrupted run goes on exactly."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file

from lab.client import checkpoints
from lab.client.checkpoints.card import Recipe, Rule, read_card
from lab.client.datasets.base import Dataset
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.published import PublishedSet
from lab.client.datasets.split import Split
from lab.client.training import STATE, one_cycle, train
from lab.client.training_sentences import TrainingSentences
from lab.commands.training import parse_stages
from lab.errors import LabError
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.transformer import Task, Transformer
from lab.modalities.text import rows_of
from lab.randomness import stream

QUICK = Recipe(epochs=3, batch_size=20, held_out=40, shift=1, learning_rate=0.02)
OPTIONS = ResNet(depth=8)


@dataclass(frozen=True)
class Stripes(PublishedSet):
    """Noise of 12 x 12 pixels whose class, one of ten, is a bright row; 140 for training and 30 for testing."""

    kind: ClassVar[str] = "no part of the catalogue"

    @property
    def class_names(self):
        return tuple("0123456789")

    def available(self):
        return True

    def length(self, split):
        return 140 if split is Split.TRAIN else 30

    def pixels(self, split, first, count):
        generator = torch.Generator().manual_seed(len(split.value))
        images = torch.randint(60, (self.length(split), 3, 12, 12), generator=generator, dtype=torch.uint8)
        labels = torch.arange(self.length(split)) % 10
        images[torch.arange(len(labels)), :, labels + 1] += 180
        return images[first : first + count], labels[first : first + count]


def refused(action):
    with pytest.raises(LabError) as caught:
        action()
    return str(caught.value)


def reports(run, options=OPTIONS, recipe=QUICK, data=None):
    return list(train(options, data or Stripes(), recipe, run))


def weights(path):
    return load_file(path)


@pytest.mark.parametrize("rule", list(Rule))
def test_the_loss_falls_and_the_accuracy_rises(tmp_path, rule):
    recipe = replace(QUICK, epochs=12, rule=rule, learning_rate=0.05 if rule is Rule.SGD else 0.01, shift=0, batch_size=10)
    seen = reports(tmp_path, recipe=recipe)
    losses = [report.loss for report in seen if report.accuracy is not None]
    assert losses[0] > 1.5
    assert losses[-1] < 0.5 * losses[0]
    card = read_card(seen[-1].saved.with_suffix(".json"))
    assert card.accuracy[0].pictures == 30
    assert card.accuracy[1].pictures == 40
    assert min(accuracy.share for accuracy in card.accuracy) > 0.5


def test_the_reports_count_steps_and_epochs(tmp_path):
    seen = reports(tmp_path)
    assert [(report.epoch, report.step, report.steps) for report in seen] == [
        (0, 5, 5), (1, 0, 5), (1, 5, 5), (2, 0, 5), (2, 5, 5), (3, 0, 5), (3, 0, 5)
    ]  # fmt: skip
    assert [report.accuracy is not None for report in seen] == [False, True] * 3 + [False]
    assert [report.saved for report in seen] == [None] * 6 + [tmp_path / "resnet.safetensors"]
    assert max(report.learning_rate for report in seen) <= QUICK.learning_rate
    assert seen[-1].learning_rate < 0.01 * QUICK.learning_rate


def test_the_finished_weights_answer_as_the_card_says(tmp_path):
    path = reports(tmp_path)[-1].saved
    card = read_card(path.with_suffix(".json"))
    assert (card.network, card.recipe, card.classes, card.image_shape) == (OPTIONS, QUICK, 10, (3, 12, 12))
    assert (card.data, card.training_pictures) == (Stripes.name, 100)
    network = OPTIONS.build((3, 12, 12), 10, torch.Generator())
    checkpoints.load(network, OPTIONS, str(path))
    images, labels = Stripes().everything(Split.TEST)
    right = (network(images.float() / 255).argmax(1) == labels).sum()
    assert int(right) == card.accuracy[0].share * 30


@pytest.mark.parametrize("rule", list(Rule))
def test_an_interrupted_run_gives_the_weights_of_an_uninterrupted_one(tmp_path, rule):
    recipe = replace(QUICK, rule=rule)
    whole = weights(reports(tmp_path / "whole", recipe=recipe)[-1].saved)
    interrupted = train(OPTIONS, Stripes(), recipe, tmp_path / "parts")
    while next(interrupted).epoch < 1:
        pass
    next(interrupted)  # some steps into the second epoch, which are lost
    interrupted.close()
    rest = reports(tmp_path / "parts", recipe=recipe)
    assert rest[0].epoch == 1
    resumed = weights(rest[-1].saved)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = weights(reports(tmp_path)[-1].saved)
    again = reports(tmp_path)
    assert len(again) == 1
    assert all(torch.equal(value, first[name]) for name, value in weights(again[0].saved).items())


def test_the_seed_decides(tmp_path):
    runs = [replace(QUICK, epochs=1, seed=seed) for seed in (0, 0, 1)]
    first, same, other = [
        weights(reports(tmp_path / str(number), recipe=recipe)[-1].saved) for number, recipe in enumerate(runs)
    ]
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])


def test_bfloat16_learns_too(tmp_path):
    seen = reports(tmp_path, recipe=replace(QUICK, epochs=2, bfloat16=True))
    saved = weights(seen[-1].saved)
    assert saved["head.0.weight"].dtype == torch.float32
    assert seen[-2].loss < seen[0].loss


@dataclass(frozen=True)
class Counting(Dataset):
    """Sentences in which each piece is followed by the next, so that there is something to learn."""

    kind: ClassVar[str] = "no part of the catalogue"
    modality: ClassVar[str] = "text"

    def samples(self, recipe):
        return TrainingSentences.read(
            "counting",
            [[(start + step) % 9 for step in range(5)] for start in range(60)],
            [int(start % 9 > 4) for start in range(60)],
            4,
            recipe,
        )

    def load(self, count, size, generator):
        raise NotImplementedError


def test_sentences_are_learned_and_measured_by_their_perplexity(tmp_path):
    recipe = Recipe(epochs=6, batch_size=10, held_out=20, rule=Rule.ADAMW, learning_rate=0.02, warm_up=0.3)
    options = Transformer(width=16)
    *_, last = reports(tmp_path, options, recipe, Counting())
    card = read_card(last.saved.with_suffix(".json"))
    assert (card.image_shape, card.training_pictures, card.accuracy) == ((4, 3000), 80, ())  # the fifth piece stands alone
    assert card.perplexity[0].sentences == 40
    assert card.perplexity[0].value < 30
    network = options.build((4, 3000), 2, torch.Generator())
    checkpoints.load(network, options, str(last.saved))
    held_out = [[(start + step) % 9 for step in range(4)] for start in range(40, 60)]
    texts = [*held_out, *([(start + 4) % 9] for start in range(40, 60))]
    losses = -network(rows_of(texts, 4))[:, 0].detach()
    lengths = torch.tensor([len(text) for text in texts])
    assert float((losses * lengths).sum() / lengths.sum()) == pytest.approx(math.log(card.perplexity[0].value), rel=1e-3)


def test_sentences_are_learned_by_their_labels_where_the_network_asks_for_them(tmp_path):
    """Sentences that begin with a high number are of another kind."""
    recipe = Recipe(epochs=10, batch_size=10, held_out=20, rule=Rule.ADAMW, learning_rate=0.05, warm_up=0.3)
    *_, before, last = reports(tmp_path, Transformer(width=16, task=Task.SENTENCE), recipe, Counting())
    card = read_card(last.saved.with_suffix(".json"))
    assert (card.classes, card.perplexity) == (2, ())
    assert card.accuracy[0].pictures == 40
    assert card.accuracy[0].share > 0.9
    assert before.told == f"{100 * card.accuracy[0].share:.1f} % of the held-out sentences are right"


# Augmentation


def dealt(recipe, seed=0):
    pictures = Stripes().samples(recipe)
    return pictures, list(pictures.batches(recipe, torch.Generator().manual_seed(seed)))


def test_without_augmentation_each_picture_is_dealt_once(tmp_path):
    pictures, batches = dealt(replace(QUICK, shift=0, flip=False))
    originals = Stripes().everything(Split.TRAIN)[0][:100]
    images = torch.cat([images for images, _ in batches])
    assert sorted(image.flatten().tolist() for image in images) == sorted(image.flatten().tolist() for image in originals)
    assert not torch.equal(images, originals)
    assert torch.equal(pictures.held_out, Stripes().everything(Split.TRAIN)[0][100:])


def test_every_dealt_picture_is_a_shifted_maybe_mirrored_original():
    pictures, batches = dealt(replace(QUICK, shift=1))
    images, labels = batches[0]
    plain = {
        view.numpy().tobytes()
        for view in pictures.padded.unfold(2, 12, 1).unfold(3, 12, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    }
    as_is = [image.numpy().tobytes() in plain for image in images]
    assert all(
        found or image.flip(-1).contiguous().numpy().tobytes() in plain for found, image in zip(as_is, images, strict=True)
    )
    assert 2 <= sum(as_is) <= 18
    rows = images[:, 0].float().mean(2).argmax(1)
    assert (rows - labels - 1).abs().max() == 1


@pytest.mark.parametrize(("steps", "warm_up"), [(14_040, 0.2), (50, 0.5), (37, 0.11)])
def test_the_schedule_is_torchs_one_cycle(steps, warm_up):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, steps, pct_start=warm_up, cycle_momentum=False)
    for step in range(steps):
        assert one_cycle(step, steps, warm_up) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        if step < steps - 1:
            theirs.step()


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_the_schedule_of_very_short_trainings(steps):
    assert all(0 < one_cycle(step, steps, 0.2) <= 1 for step in range(steps + 1))


# What is refused


def test_too_few_pictures():
    text = refused(lambda: Stripes(root="here").samples(replace(QUICK, held_out=130)))
    assert text == (
        "test_training in here has 140 training pictures, too few to hold out 130 and fill a batch of 20; "
        "give more pictures, or a smaller held_out or batch_size."
    )


def test_no_data(tmp_path):
    text = refused(lambda: reports(tmp_path / "run", data=CIFAR10(root=str(tmp_path))))
    assert f"download once (170 MB) by: gradlab fetch cifar10 --data {tmp_path}, or name a folder" in text


def test_a_folder_with_another_training(tmp_path):
    reports(tmp_path, recipe=replace(QUICK, epochs=1))
    message = f"{tmp_path} holds the training of another network, recipe or data set; choose another folder."
    assert refused(lambda: reports(tmp_path, recipe=replace(QUICK, epochs=2))) == message
    assert refused(lambda: reports(tmp_path, MLP(depth=1), replace(QUICK, epochs=1))) == message


def test_a_damaged_state(tmp_path):
    reports(tmp_path, recipe=replace(QUICK, epochs=1))
    state = tmp_path / STATE
    whole = state.read_bytes()
    lacking = torch.load(state, weights_only=True)
    lacking["schedule"] = {}
    torch.save(lacking, tmp_path / "lacking.pt")
    for damaged in (b"", b"hello", whole[: len(whole) // 2], (tmp_path / "lacking.pt").read_bytes()):
        state.write_bytes(damaged)
        text = refused(lambda: reports(tmp_path, recipe=replace(QUICK, epochs=1)))
        assert text == f"The state {state} is damaged; delete it to train from the start."


def test_a_folder_that_cannot_be_written_is_found_out_before_training(tmp_path):
    (tmp_path / "file").touch()
    text = refused(lambda: next(train(OPTIONS, Stripes(), QUICK, tmp_path / "file")))
    assert text.startswith(f"The folder {tmp_path / 'file'} cannot be written (")
    assert text.endswith("choose another folder.")


def test_a_loss_that_explodes(tmp_path):
    recipe = replace(QUICK, learning_rate=10.0)
    text = refused(lambda: reports(tmp_path, MLP(depth=8, width=256), replace(recipe, epochs=30)))
    assert text.startswith("The loss of epoch ")
    assert text.endswith(" is no finite number; train with a smaller learning_rate.")


def test_recipe_bounds():
    assert "Recipe: epochs = 0 is out of range; give a value from 1 to 1000." in refused(lambda: Recipe(epochs=0))


def test_weights_on_the_way_are_kept_and_change_nothing(tmp_path):
    """Stages at the start, within and at the end of epochs; the finished weights are those of a training without stages."""
    plain = reports(tmp_path / "plain")[-1].saved
    *_, last = train(OPTIONS, Stripes(), QUICK, tmp_path / "kept", stages=(0, 0.4, 2, 3))
    names = ["resnet-epoch-0", "resnet-epoch-0.4", "resnet-epoch-2", "resnet-epoch-3"]
    kept = {name: weights(tmp_path / "kept" / f"{name}.safetensors") for name in names}
    cards = {name: read_card(tmp_path / "kept" / f"{name}.json") for name in names}
    assert [card.after_epochs for card in cards.values()] == [0, 0.4, 2, 3]
    finished = weights(plain)
    for name, value in weights(last.saved).items():
        assert torch.equal(value, finished[name])
        assert torch.equal(value, kept["resnet-epoch-3"][name])
    fresh = OPTIONS.build((3, 12, 12), 10, stream(QUICK.seed, "weights")).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in kept["resnet-epoch-0"].items())
    counters = [int(value["features.1.num_batches_tracked"]) for value in kept.values()]
    assert counters == [0, 2, 10, 15]  # 5 steps an epoch


def test_weights_beyond_the_end_are_refused(tmp_path):
    told = refused(lambda: list(train(OPTIONS, Stripes(), QUICK, tmp_path, stages=(1, 4))))
    assert told == "The weights after 4 epochs are wanted of a training of 3; give 0 to 3."
    with pytest.raises(LabError, match=r"--keep-epochs '1;2' is no list of epochs; give numbers such as 0,0.2,1,10"):
        parse_stages("1;2")


def test_halved_weights_are_the_rounded_ones_and_their_card_tells_of_those(tmp_path):
    plain = reports(tmp_path / "plain")[-1].saved
    *_, last = train(OPTIONS, Stripes(), QUICK, tmp_path / "half", half=True)
    finished, rounded = weights(plain), weights(last.saved)
    assert last.saved.stat().st_size < 0.7 * plain.stat().st_size
    for name, _ in OPTIONS.build((3, 12, 12), 10, stream(0, "weights")).named_parameters():
        assert torch.equal(rounded[name], finished[name].half().float())
    assert torch.equal(rounded["features.1.running_var"], finished["features.1.running_var"])
    *_, again = train(OPTIONS, Stripes(), QUICK, tmp_path / "half")
    assert all(torch.equal(value, finished[name]) for name, value in weights(again.saved).items()), "the state is not rounded"
