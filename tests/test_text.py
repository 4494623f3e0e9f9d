"""Sentences: the loss by hand, the span against brute force, sentences told apart, scores, and every wrong sentence."""

from dataclasses import replace
from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import observe, random_batch
from test_cost import check as check_cost

from lab import Experiment, LabError, reconstruct, score, simulate_round
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading
from lab.attacks.matching.settings import Derivative
from lab.attacks.span import ATTENTION_WEIGHT, Span, SpanOutcome
from lab.attacks.text.sentence_counts import select_sentences
from lab.client.datasets.wonderland import Wonderland, kind, sentences
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.experiments import links
from lab.experiments.cost.network_profile import profile_of
from lab.experiments.edits import patched
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.transformer import Norm, Task, Transformer
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.modalities.text import Text, pieces, to_words
from lab.modalities.text.scores import exact, numbers, rouge_l, words_right
from lab.modalities.text.vocabulary_making import SIZE, made_from
from lab.randomness import stream

MATCHED = GradientMatching(priors=(), derivative=Derivative.EXACT)
EXPERIMENT = patched(Experiment(), [("network", "transformer")])


def one_hot(texts, size=6):
    return torch.nn.functional.one_hot(torch.tensor(texts), size).float()


READER = Transformer(width=32, task=Task.SENTENCE)
CLASSIFIED = patched(EXPERIMENT, [("network.task", "sentence")])


def seen_by_a_server(texts, network, labels=(), loss=None):
    """The gradient of these sentences of a tiny vocabulary; labels are known where none are learned."""
    model = network.build((len(texts[0]), 6), 3, stream(0, "weights"))
    private = torch.tensor(labels or [0] * len(texts))
    protocol = FedSGD(loss=loss or CrossEntropy())
    update = protocol.update(model, one_hot(texts), private)
    told = (LabelSource.INFERRED, None) if labels else (LabelSource.KNOWN, private)
    return Observation(model, protocol, update, (len(texts[0]), 6), len(texts), *told, modality="text")


def test_the_loss_is_the_cross_entropy_of_the_next_word_and_then_of_the_end():
    model = Transformer(width=16).build((4, 6), 2, stream(1, "weights")).double()
    texts = [[1, 3, 3, 0], [5, 2, 4, 1]]
    body = model.features
    hidden = body.embedding.at(torch.tensor(texts), slice(None))
    for block in body.blocks:
        hidden = block(hidden)
    logits = body.following(body.ln(hidden))
    targets = torch.tensor([[*text[1:], 6] for text in texts])
    by_hand = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    told = torch.nn.functional.cross_entropy(model(one_hot(texts).double()), torch.zeros(2, dtype=torch.long))
    torch.testing.assert_close(told, by_hand)


def test_the_loss_of_a_label_is_the_cross_entropy_of_a_linear_layer_on_the_mean_of_the_words_that_are_there():
    model = READER.build((4, 6), 3, stream(1, "weights")).double()
    whole = one_hot([[1, 3, 3, 0], [5, 2, 4, 1]]).double()
    whole[1, 2:] = 0
    body = model.features
    means = [body.hidden(body.embedding(part)).mean(1) for part in (whole[:1], whole[1:, :2])]
    logits = model.head[0](torch.cat(means))
    torch.testing.assert_close(model(whole), logits)


def entered_layers(model, inputs, block=0):
    """What the map to queries, keys and values and the first fully connected layer of a block are given."""
    given, layers = {}, {"in_proj": model.features.blocks[block].in_proj, "mlp": model.features.blocks[block].mlp[0]}
    hooks = [
        layer.register_forward_pre_hook(lambda _, args, name=name: given.__setitem__(name, args[0].detach()))
        for name, layer in layers.items()
    ]
    model(inputs)
    for hook in hooks:
        hook.remove()
    return given


@pytest.mark.parametrize("norm", list(Norm))
def test_a_later_word_changes_nothing_before_it_and_a_step_by_step_pass_is_the_whole(norm):
    model = Transformer(width=16, norm=norm).build((4, 6), 2, stream(1, "weights"))
    texts = [[1, 2, 3, 4], [1, 2, 3, 5], [0, 2, 3, 5]]
    whole, at = entered_layers(model, one_hot(texts)), model.features.embedding.at
    torch.testing.assert_close(whole["mlp"][0, :3], whole["mlp"][1, :3])
    begun, words = torch.tensor([[1, 2, 3], [0, 2, 3]]), torch.tensor([4, 5])
    ways = model.features.first_block.continued(at(begun, slice(3)), at(words, 3))
    torch.testing.assert_close(torch.stack([ways[0, 0], ways[0, 1], ways[1, 1]]), whole["mlp"][:, 3])
    first = model.features.first_block.continued(at(begun[:, :0], slice(0)), at(torch.tensor([1, 0]), 0))[0]
    torch.testing.assert_close(first, whole["mlp"][[0, 2], 0])


@settings(max_examples=4, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=2),
    st.sampled_from(list(Norm)),
    st.sampled_from([Activation.GELU, Activation.RELU, Activation.TANH]),
    st.sampled_from([16, 24, 32]),
)
def test_of_all_sentences_of_a_tiny_vocabulary_it_finds_the_one_that_sends_the_same(text, norm, activation, width):
    seen = seen_by_a_server([text], Transformer(width=width, norm=norm, activation=activation))
    every = [list(other) for other in product(range(6), repeat=2)]
    made = {tuple(other): FedSGD().update(seen.network, one_hot([other]), seen.labels) for other in every}
    off = {other: sum(float((g - seen.update[name]).square().sum()) for name, g in made[other].items()) for other in made}
    *_, last = Span().reconstruct(seen, stream(0, "attack"))
    assert last.outcome is SpanOutcome.READ
    assert tuple(numbers(last.candidate)[0].tolist()) == min(off, key=off.get)


def labelled(seen):
    """The sentences that the attack ends in, each with its label."""
    *_, last = Span().reconstruct(seen, stream(0, "attack"))
    assert last.outcome is SpanOutcome.READ
    return sorted((*text, label) for text, label in zip(numbers(last.candidate).tolist(), last.labels.tolist(), strict=True))


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=2), st.sampled_from(Norm)
)
def test_of_all_labelled_sentences_of_a_tiny_vocabulary_it_finds_those_that_send_the_same(batch, norm):
    """Twice the same, or one under two labels, among them."""
    texts, labels = [list(words) for *words, _ in batch], [label for *_, label in batch]
    seen = seen_by_a_server(texts, replace(READER, norm=norm), labels)
    assert labelled(seen) == sorted(batch)
    if len(batch) == 1:
        every = list(product(range(6), range(6), range(3)))
        sent = [FedSGD().update(seen.network, one_hot([words]), torch.tensor([label])) for *words, label in every]
        off = [sum(float((g - seen.update[name]).square().sum()) for name, g in own.items()) for own in sent]
        assert every[off.index(min(off))] == batch[0]


def test_classes_that_weigh_unlike_are_counted_by_their_weights():
    batch = [((0, 1, 2), 0), ((3, 1, 5), 2), ((4, 4, 0), 2), ((4, 4, 0), 2), ((2, 5, 1), 1)]
    texts, labels = zip(*batch, strict=True)
    seen = seen_by_a_server(texts, READER, [*labels], CrossEntropy(class_weights=(1.0, 5.0, 0.2)))
    assert sorted(select_sentences(seen, [*dict.fromkeys([*texts, (0, 0, 0), (3, 1, 0), (2, 2, 2)])])) == sorted(batch)


@pytest.mark.parametrize("source", list(LabelSource))
def test_of_a_network_that_learns_labels_sentences_are_read_with_the_labels_of_each(source):
    """Of the second seed's batch one asks."""
    attacked = simulate_round(replace(CLASSIFIED, batch_size=4, labels=source, seed=1))
    assert sorted(attacked.batch.labels.tolist()) == [0, 0, 0, 1]
    *_, last = reconstruct(replace(CLASSIFIED, seed=1), attacked.observation)
    scores = score(attacked, last)
    assert (scores.exact, last.outcome) == (1, SpanOutcome.READ)
    if source is not LabelSource.KNOWN:
        assert all(one.label == one.label_recovered for one in scores.by_input)


def test_labels_are_read_off_the_last_layer_without_any_words():
    reads = replace(CLASSIFIED, labels=LabelSource.INFERRED, attack=LabelReading())
    for sentence, label in (("the rabbit", 0), ("who are you?", 1), ("off with her head!", 2)):
        last, _ = read(replace(reads, dataset=Wonderland(own=(sentence,))))
        assert last.labels.tolist() == [label]


@pytest.mark.parametrize(
    ("sentence", "does"),
    [
        ("Who are you", 0),
        ("Who are YOU?' said the Caterpillar.", 0),
        ("What then?'", 1),
        ("Off with her head！)", 2),
        ("What? Well…", 0),
        ("", 0),
    ],
)
def test_what_a_sentence_does_is_told_by_its_last_mark(sentence, does):
    assert kind(sentence) == does


def test_a_network_that_learns_next_words_is_told_no_labels():
    words = simulate_round(replace(EXPERIMENT, batch_size=4, seed=1))
    assert words.batch.labels.tolist() == [0] * 4
    assert EXPERIMENT.class_names == ("as it is written", "otherwise")
    assert CLASSIFIED.class_names == ("tells", "asks", "exclaims")


def test_a_parallelogram_of_words_and_places_fits_the_first_span_and_only_what_attention_makes_of_it_is_refused():
    """Words 0 1 at places 0 1, 2 0 and 2 ...: 0 at place 0, 2 at 0, 2 at 1 span 0 at place 1."""
    texts = [[0, 2, 1], [2, 3, 4]]
    seen = seen_by_a_server(texts, Transformer(width=64))
    body, span = seen.network.features, RowSpan.of(seen.update[ATTENTION_WEIGHT], 6)
    false = body.embedding.at(torch.tensor([0]), 1)
    assert float(span.spread(body.first_block.entering(false)).distance) < 1e-5
    *_, last = Span().reconstruct(seen, stream(0, "attack"))
    assert sorted(numbers(last.candidate).tolist()) == sorted(texts)


@pytest.mark.parametrize("network", [Transformer(width=256), Transformer(width=256, norm=Norm.POST), Transformer(depth=3)])
@pytest.mark.parametrize("count", [1, 4])
def test_sentences_of_a_batch_are_read_and_told_apart(network, count):
    experiment = replace(EXPERIMENT, network=network, batch_size=count)
    attacked = simulate_round(experiment)
    *states, last = reconstruct(experiment, attacked.observation)
    scores = score(attacked, last)
    assert (scores.words_right, scores.exact, scores.rouge_l) == (1, 1, 1)
    assert scores.unigram_words_right < 0.5
    assert last.outcome is SpanOutcome.READ
    assert [state.iteration for state in states] == list(range(1, 21))
    moved = len(torch.unique(numbers(attacked.batch.inputs)))
    assert last.note.startswith(f"{moved} rows of the embedding moved")


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([24, 48]), st.integers(1, 12), st.sampled_from([0.0, 1e-4, 1e-3]))
def test_what_lies_in_a_span_is_outside_by_its_noise_and_nothing_else_is(seed, width, inputs, noise):
    """Inputs of lengths from 1 to 1e-2: the distances grow with the noise and with how faintly each is told."""
    random = stream(seed, "span")
    entered = torch.randn(inputs, width, generator=random, dtype=torch.float64)
    lengths = 10 ** (-2 * torch.rand(inputs, generator=random, dtype=torch.float64))
    deltas = torch.randn(4 * width, inputs, generator=random, dtype=torch.float64) * lengths
    hidden = noise * torch.randn(4 * width, width, generator=random, dtype=torch.float64) / 10
    span = RowSpan.of(deltas @ entered + hidden, 16)
    assert inputs <= span.rank <= inputs + 1, "small noise may reach beyond its edge"
    inside, others = span.spread(entered), span.spread(torch.randn(50, width, generator=random, dtype=torch.float64))
    assert bool(inside.fits.all())
    assert not bool(others.fits.any())
    assert float(inside.relative_residual.max()) < 2.5
    assert float(others.relative_residual.min()) > 3
    if noise:
        assert float(inside.relative_residual.min()) > 0.2


def read(experiment):
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    return last, score(attacked, last)


@pytest.mark.parametrize(
    "own",
    [
        ("the rabbit took a watch", "the rabbit took a watch", "alice"),
        ("the rabbit", "the rabbit took a watch out of its pocket", "the"),
        ("the cat", "the hat", "a cat", "a hat"),
    ],
    ids=["twice", "the beginning of another", "the same words"],
)
def test_how_often_each_sentence_is_there_is_told_by_the_sum_of_their_gradients(own):
    last, scores = read(replace(EXPERIMENT, dataset=Wonderland(own=own), batch_size=len(own)))
    assert sorted(to_words(last.candidate)) == sorted(own)
    assert (scores.exact, last.outcome) == (1, SpanOutcome.READ)


@pytest.mark.parametrize("seed", [0, 3])
def test_trained_weights_are_read_where_the_gradient_tells_faintly(seed):
    last, scores = read(replace(EXPERIMENT, trained=True, batch_size=4, seed=seed))
    assert (scores.exact, last.outcome) == (1, SpanOutcome.READ)


@pytest.mark.parametrize(("steps", "rate", "trained"), [(4, 0.1, False), (4, 1e-2, True)])
def test_local_steps_only_raise_the_rank(steps, rate, trained):
    """What enters at the first step are the words as the server knows them."""
    protocol = FedAvg(local_steps=steps, learning_rate=rate)
    last, scores = read(replace(EXPERIMENT, network=Transformer(width=128), trained=trained, protocol=protocol))
    assert (scores.exact, last.outcome) == (1, SpanOutcome.READ)


@pytest.mark.slow
def test_descent_on_words_misses_most_of_a_trained_network_that_the_span_reads():
    """300 steps on the simplex of the vocabulary at each place, where an embedding is a mean of words'."""
    trained = replace(EXPERIMENT, trained=True)
    _, scores = read(replace(trained, attack=replace(MATCHED, iterations=300)))
    assert scores.words_right < 0.7
    _, scores = read(trained)
    assert scores.words_right == 1


def test_it_ends_where_places_times_steps_reach_the_width():
    protocol = FedAvg(local_steps=8, learning_rate=0.1)
    last, scores = read(replace(EXPERIMENT, network=Transformer(width=64), protocol=protocol))
    assert scores.exact < 1
    assert last.outcome is not SpanOutcome.READ


@pytest.mark.parametrize("strength", [1e-2, 0.1])
def test_words_are_read_under_noise_and_it_is_said_that_the_update_is_not_theirs(strength):
    last, scores = read(replace(EXPERIMENT, network=Transformer(width=256), defences=(GaussianNoise(strength=strength),)))
    assert scores.words_right == 1
    assert last.outcome is SpanOutcome.FITS


def test_where_no_row_tells_words_every_word_is_tried():
    experiment = replace(EXPERIMENT, attack=Span(moved_only=False), batch_size=2)
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    assert score(attacked, last).exact == 1


def test_it_ends_where_the_rank_reaches_the_width_and_says_so():
    experiment = replace(EXPERIMENT, network=Transformer(width=32), batch_size=4)
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    assert last.outcome is SpanOutcome.FULL
    assert last.note.endswith("of width 32. Width 32 has room for one sentence of 20 places, and there are 4.")
    assert score(attacked, last).words_right < 0.5


def test_what_tells_no_span_ends_in_a_sentence():
    seen = seen_by_a_server([[1, 2, 3]], Transformer(width=16))
    kept = {name: tensor for name, tensor in seen.update.items() if name != ATTENTION_WEIGHT}
    silent = {name: torch.zeros_like(tensor) for name, tensor in seen.update.items()}
    for observation, outcome in [
        (observe(MLP(width=8), random_batch()), SpanOutcome.NO_WORDS),
        (replace(seen, update=kept), ClosedFormOutcome.NOT_SENT),
        (replace(seen, update=silent), ClosedFormOutcome.DEAD_UNITS),
    ]:
        (state,) = Span().reconstruct(observation, stream(0, "attack"))
        assert state.outcome is outcome


@pytest.mark.parametrize(
    ("count", "network", "attack"),
    [
        (1, Transformer(width=64), Span()),
        (4, Transformer(width=64, norm=Norm.POST), Span()),
        (4, READER, Span()),
        (2, Transformer(width=64), MATCHED),
    ],
    ids=["one", "several", "labelled", "matched"],
)
def test_memory_is_told_before_anything_is_computed(count, network, attack):
    experiment = replace(EXPERIMENT, network=network, batch_size=count, attack=attack)
    room = 1e6 if attack is MATCHED else 30e6  # under noise many more words fit than the few that do here
    check_cost(experiment, states=2, small_change=room)


def test_a_sketch_multiplies_what_the_network_does():
    shape, network = (5, 30), Transformer(width=16)
    model, drawn = network.build(shape, 2, stream(0, "weights")), profile_of(network, shape, 2)
    assert drawn.weights == sum(tensor.numel() for tensor in model.parameters())
    blocks = 2 * (5 * 16 * 48 + 2 * 5 * 5 * 16 + 5 * 16 * 16 + 2 * 5 * 16 * 64)
    assert drawn.products == 5 * 30 * 16 + blocks + 5 * 16 * 31
    assert profile_of(replace(network, task=Task.SENTENCE), shape, 3).products == 5 * 30 * 16 + blocks + 16 * 3


def longest(one, other):
    """By trying every way to leave words out."""
    every = {tuple(part) for size in range(len(one) + 1) for part in combinations(one, size)}
    return max(size for size in range(len(other) + 1) for part in combinations(other, size) if tuple(part) in every)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6))
def test_rouge_l_is_the_longest_words_in_common(pairs):
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    assert float(rouge_l(one_hot([one]), one_hot([other]))) == pytest.approx(longest(one, other) / len(one))
    right = sum(a == b for a, b in pairs) / len(pairs)
    assert float(words_right(one_hot([one]), one_hot([other]))) == pytest.approx(right)
    assert bool(exact(one_hot([one]), one_hot([other]))) == (one == other)


def test_the_vocabulary_is_made_of_the_book_and_writes_all_of_it():
    assert list(pieces.vocabulary()) == made_from(sentences(), SIZE)
    for sentence in sentences()[:200]:
        assert pieces.decode(pieces.encode(sentence)).replace(" ", "") == "".join(sentence.lower().split())


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("", "The sentence is empty"),
        ("  \n", "The sentence is empty"),
        ("word " * 10_000, "give at most 2000"),
        ("z" * 1_999, "has 1999 word pieces, more than its length of 20 places"),
        ("and so on " * 10, "has 30 word pieces, more than its length of 20 places"),
        ("a rabbit \U0001f407", "The vocabulary has no piece for"),
        ("ארנב", "The vocabulary has no piece for"),
        ("a\x00b", "The vocabulary has no piece for"),
    ],
)
def test_a_sentence_that_cannot_be_told_is_refused_in_one(sentence, said):
    with pytest.raises(LabError, match=said) as caught:
        Wonderland(own=(sentence,))
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=30) | st.text(st.sampled_from("aBz9 .,;:!?'\"()[]-_*&/`’“—…ﬁ½\u0301\u200d\n"), max_size=30))
def test_whatever_one_writes_is_refused_in_a_sentence_or_reads_the_same_again(sentence):
    try:
        found = pieces.encode(sentence)
    except LabError as refused:
        assert str(refused).isprintable()  # noqa: PT017
        assert len(str(refused)) < 200  # noqa: PT017
    else:
        assert pieces.encode(pieces.decode(found)) == found
        assert kind(sentence) == kind(pieces.typed(sentence))


def test_marks_that_a_telephone_bends_are_those_that_one_types():
    printed = "“Who are YOU?” said the Caterpillar – ‘I don’t know — I’m a rabbit‑hole…’"
    assert pieces.encode(printed) == pieces.encode(
        "\"Who are YOU?\" said the Caterpillar - 'I don't know - I'm a rabbit-hole...'"
    )


@pytest.mark.parametrize("sentence", ["Rabbit", "xyzzy plugh qwrtz", "THE Queen -- of 9 hearts!"])
def test_ones_own_sentence_is_read_whatever_its_length(sentence):
    experiment = replace(EXPERIMENT, dataset=Wonderland(own=(sentence,)))
    assert sentence not in links.write(experiment), "a sentence of one's own does not travel in a link"
    attacked = simulate_round(experiment)
    *_, last = reconstruct(experiment, attacked.observation)
    assert score(attacked, last).exact == 1
    assert to_words(last.candidate) == [pieces.decode(pieces.encode(sentence))]


def test_what_nothing_is_known_of_is_no_word():
    """As likely to be any piece: an ellipsis stands there, not the first piece of the vocabulary over and over."""
    seen = simulate_round(Experiment(dataset=Wonderland(length=6), network=Transformer(width=64), attack=Span())).observation
    nothing = Text().decode(Text().start(seen, stream(0, "start"), noise=False), seen)
    assert Text().shown(nothing).words["told"] == ["…"]
