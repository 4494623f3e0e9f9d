"""What a client's own training leaves in a file, and what is read back of it: the very round, or a sentence."""

import ast
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import smooth_batch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import lab
from lab.capture import FORMAT, UPDATE, WEIGHTS, Recipe, capturing, save
from lab.federated import captures
from lab.federated.networks.small_convnet import SmallConvNet
from lab.options.plain import to_plain
from lab.randomness import stream

ROOT = Path(__file__).parent.parent
SIZE = 16


def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (SIZE // 2) ** 2, 10)
        return nn.Sequential(*layers)


def gradient(model, batch, rate=0.0, **_):
    functional.cross_entropy(model(batch.images), batch.labels).backward()


def steps(count, size=None):
    """A plain loop: so many steps, each on so many pictures, in turn."""

    def train(model, batch, rate=0.05, **_):
        optimiser, each = torch.optim.SGD(model.parameters(), rate), size or len(batch.images)
        for step in range(count):
            rows = (torch.arange(each) + step * each) % len(batch.images)
            optimiser.zero_grad()
            functional.cross_entropy(model(batch.images[rows]), batch.labels[rows]).backward()
            optimiser.step()

    return train


def evaluated_between(model, batch, **more):
    """The client also looks at pictures that it does not train on."""
    with torch.no_grad():
        model(batch.images.flip(0) * 0.5)
    steps(2)(model, batch, **more)


LOOPS = {
    "a gradient": gradient,
    "one step": steps(1),
    "several steps": steps(3),
    "steps in turn": steps(4, 1),
    "an epoch in pairs": steps(2, 2),
    "with an evaluation": evaluated_between,
}


@pytest.mark.parametrize(
    ("loop", "pictures"), [(loop, count) for loop in LOOPS for count in (1, 4) if (loop, count) != ("an epoch in pairs", 1)]
)
def test_a_plain_loop_is_kept_as_it_was(loop, pictures, tmp_path):
    """What the file says makes, of the private pictures, the very update that is in it."""
    model, batch = small(), smooth_batch(pictures, size=SIZE)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with capturing(model, tmp_path / "update.safetensors"):
        LOOPS[loop](model, batch)
    seen = lab.observe(model, tmp_path / "update.safetensors")
    assert (seen.batch_size, seen.image_shape, seen.notes) == (pictures, (3, SIZE, SIZE), ())
    found = captures.read(tmp_path / "update.safetensors")
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in before.items())
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    for name, tensor in seen.update.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-4, atol=1e-6)


OPTIMISERS = {
    "momentum": lambda weights: torch.optim.SGD(weights, 0.01, momentum=0.9),
    "Nesterov": lambda weights: torch.optim.SGD(weights, 0.01, momentum=0.9, nesterov=True),
    "weight decay": lambda weights: torch.optim.SGD(weights, 0.01, weight_decay=5e-3),
    "Adam": lambda weights: torch.optim.Adam(weights, 1e-3),
    "Adam without a mean": lambda weights: torch.optim.Adam(weights, 1e-3, betas=(0.0, 0.999)),
    "tensor by tensor": lambda weights: torch.optim.Adam(weights, 1e-3, foreach=True),
    "fused": lambda weights: torch.optim.SGD(weights, 0.01, momentum=0.9, fused=True),
    "scheduled": lambda weights: scheduled(torch.optim.SGD(weights, 0.01, momentum=0.9)),
}


def scheduled(optimiser):
    """A schedule notes in the optimiser where its rate began."""
    torch.optim.lr_scheduler.StepLR(optimiser, 10)
    return optimiser


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_optimiser_is_kept_and_simulated(optimiser, steps, tmp_path):
    """What the file says makes, of the private pictures, the very update, whatever stepped."""
    model, batch = small(), smooth_batch(2, size=SIZE)
    stepping = OPTIMISERS[optimiser](model.parameters())
    with capturing(model, tmp_path / "update.safetensors"):
        for _ in range(steps):
            stepping.zero_grad()
            functional.cross_entropy(model(batch.images), batch.labels).backward()
            stepping.step()
    seen = lab.observe(model, tmp_path / "update.safetensors")
    assert seen.notes == ()
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    for name, tensor in seen.update.items():
        assert float((again[name] - tensor).norm()) <= 1e-3 * float(tensor.norm())


def in_parts(*sizes):
    """A loop over parts of unlike sizes, as a loader's last one is."""

    def train(model, batch):
        optimiser = torch.optim.SGD(model.parameters(), 0.05)
        for images, labels in zip(batch.images.split(sizes), batch.labels.split(sizes), strict=True):
            optimiser.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimiser.step()

    return train


@pytest.mark.parametrize(
    ("sizes", "said"), [((2, 1), ["The steps took 1 to 2 pictures each, and the attack takes each for 2."]), ((2, 2), [])]
)
def test_steps_of_unlike_sizes_are_said(sizes, said, tmp_path):
    model, batch = small(), smooth_batch(sum(sizes), size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        in_parts(*sizes)(model, batch)
    recipe = captures.read(tmp_path / "update.safetensors").recipe
    assert (recipe.local_steps, recipe.pictures, list(recipe.notes)) == (2, sum(sizes), said)


def test_a_picture_and_its_mirror_image_are_two(tmp_path):
    model, one = small(), smooth_batch(1, size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        gradient(model, lab.Batch(torch.cat([one.images, one.images.flip(-1), one.images]), one.labels.repeat(3)))
    assert captures.read(tmp_path / "update.safetensors").recipe.pictures == 2


def test_an_optimiser_that_is_not_simulated_is_said(tmp_path):
    model, batch = small(), smooth_batch(2, size=SIZE)
    stepping = torch.optim.RMSprop(model.parameters(), 1e-3)
    with capturing(model, tmp_path / "update.safetensors"):
        functional.cross_entropy(model(batch.images), batch.labels).backward()
        stepping.step()
    assert any(
        re.search(r"stepped by 'RMSprop' \(", note) for note in lab.observe(model, tmp_path / "update.safetensors").notes
    )


def test_what_is_told_counts_and_modes_are_kept(tmp_path):
    model, batch = small(), smooth_batch(2, size=SIZE)
    with capturing(model.eval(), tmp_path / "deep" / "update.safetensors", mean=0.5, std=(0.2, 0.3, 0.4), pictures=7):
        gradient(model, batch)
    recipe = captures.read(tmp_path / "deep" / "update.safetensors").recipe
    assert recipe == Recipe(
        sent="gradient", pictures=7, batch_size=2, input_shape=(3, SIZE, SIZE), mean=(0.5,), std=(0.2, 0.3, 0.4), mode="eval"
    )


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("learning_rate", 0.25),
        ("loss", "mse"),
        ("local_steps", 3),
        ("pictures", 9),
        ("input_shape", (3, 4, 4)),
        ("mode", "eval"),
    ],
)
def test_whatever_is_told_is_read_back_as_it_was_told(told, kept, tmp_path):
    model, batch = small(), smooth_batch(2, size=SIZE)
    with capturing(model, tmp_path / "update.safetensors", **{told: kept}):
        gradient(model, batch)
    assert getattr(captures.read(tmp_path / "update.safetensors").recipe, told) == kept


def test_a_block_in_which_nothing_trains_is_refused(tmp_path):
    model = small()
    with pytest.raises(ValueError, match="Nothing trained"), capturing(model, tmp_path / "update.safetensors"):
        model(smooth_batch(size=SIZE).images)
    assert not list(tmp_path.iterdir())


def test_what_trains_meanwhile_beside_it_is_not_counted(tmp_path):
    model, other, batch = small(), small(), smooth_batch(size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        steps(3)(other, batch)
        steps(2)(model, batch)
    assert captures.read(tmp_path / "update.safetensors").recipe.local_steps == 2


def test_neither_pictures_nor_labels_are_in_the_file(tmp_path):
    model, batch = small(), smooth_batch(2, size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        steps(1)(model, batch)
    data = (tmp_path / "update.safetensors").read_bytes()
    assert not any(picture.numpy().tobytes()[:64] in data for picture in batch.images)
    assert set(captures.read(tmp_path / "update.safetensors").weights) == set(model.state_dict())


def test_a_network_of_the_catalogue_is_opened_without_any_code(tmp_path):
    options, batch = SmallConvNet(width=4), smooth_batch(size=32)
    model = options.build((3, 32, 32), 10, stream(5, "weights"))
    with capturing(model, tmp_path / "update.safetensors", network=to_plain(options)):
        steps(1)(model, batch)
    from lab.experiments.captured import observation_of

    seen = observation_of(captures.read(tmp_path / "update.safetensors"))
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    assert all(torch.allclose(again[name], tensor, rtol=1e-4, atol=1e-7) for name, tensor in seen.update.items())
    *_, last = lab.attack(seen, lab.LabelReading())
    assert last.labels.tolist() == batch.labels.tolist()


def test_the_module_stands_alone(tmp_path):
    """Copied to where there is no lab, it captures; and nothing of any framework is imported by it or by the core."""
    (tmp_path / "capture.py").write_text((ROOT / "lab" / "capture.py").read_text())
    code = (
        "import torch, capture\n"
        "model = torch.nn.Linear(4, 3)\n"
        "with capture.capturing(model, 'update.safetensors', input_shape=(1, 2, 2)):\n"
        "    model(torch.rand(1, 4)).logsumexp(1).sum().backward()\n"
        "import sys; assert not {'lab', 'flwr', 'opacus'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
    assert captures.is_capture(tmp_path / "update.safetensors")


def outside_functions(tree):
    """What runs as a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from outside_functions(node)


@pytest.mark.parametrize("path", [*(ROOT / "lab").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")], ids=lambda path: path.stem)
def test_no_framework_is_imported_but_where_it_is_asked_for(path):
    """Opacus' accountant is, within a function that says so where it is missing; a capture needs neither."""
    for node in outside_functions(ast.parse(path.read_text())):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "") or ""]
        assert not {name.partition(".")[0] for name in names} & {"flwr", "opacus"}


def tensors():
    return {f"{WEIGHTS}a": torch.ones(2), f"{UPDATE}a": torch.ones(2)}


def written(path, recipe, form=FORMAT, numbers=None):
    """A file that anybody could have made."""
    text = recipe if isinstance(recipe, str) else json.dumps(recipe)
    save_file(tensors() if numbers is None else numbers, path, {"format": form, "recipe": text})
    return path


WRONG = {
    "sent": ["", 3, None, ["gradient"]],
    "loss": [3, "x" * 4001, None],
    "optimiser": [{}, None],
    "settings": [[], {"momentum": "0.9"}, {"momentum": math.inf}, {"x" * 301: 1.0}, {str(k): 1.0 for k in range(17)}],
    "learning_rate": [0, -1.0, math.nan, 10**400, "0.1", True],
    "local_steps": [0, 1.5, 10**9, None, True],
    "pictures": [0, -3, "4", 10**30],
    "batch_size": [0, 2.5],
    "input_shape": [[], [3, 32, "32"], 32, [1] * 17, [0, 3, 3]],
    "mean": ["0.5", [None], [math.nan]],
    "std": [[True], {}],
    "mode": ["both", None],
    "network": ["mlp", 3],
    "made_by": [None, "x" * 301],
    "notes": [["x" * 301], "a", [1], ["a"] * 17],
    "surplus": [1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_recipe_that_anybody_made_is_refused_in_a_sentence(name, value, tmp_path):
    path = written(tmp_path / "x.safetensors", {name: value})
    with pytest.raises(lab.LabError, match=r"The recipe in .*\.$"):
        captures.read(path)


@pytest.mark.parametrize("text", ["", "[", "[]", "3", "null", "[" * 5000, '{"loss": ' + "9" * 5000 + "}"])
def test_a_recipe_that_is_none_is_refused(text, tmp_path):
    with pytest.raises(lab.LabError, match="The recipe in "):
        captures.read(written(tmp_path / "x.safetensors", text))


@pytest.mark.parametrize("numbers", [{"a": torch.ones(1)}, {f"{WEIGHTS}a": torch.ones(1)}, {f"{UPDATE}a": torch.ones(1)}])
def test_a_file_without_weights_or_update_is_refused(numbers, tmp_path):
    with pytest.raises(lab.LabError, match=r"holds no (weights|update)"):
        captures.read(written(tmp_path / "x.safetensors", {}, numbers=numbers))


def test_another_form_is_refused(tmp_path):
    with pytest.raises(lab.LabError, match="says that it is 'gradlab capture 2'"):
        captures.read(written(tmp_path / "x.safetensors", {}, form="gradlab capture 2"))
    save_file(tensors(), tmp_path / "y.safetensors")
    with pytest.raises(lab.LabError, match="does not say that it is a capture"):
        captures.read(tmp_path / "y.safetensors")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A capture's bytes."""
    path = save(tmp_path_factory.mktemp("good") / "x.safetensors", {"a": torch.ones(2)}, {"a": torch.ones(2)}, Recipe())
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_spoilt_bytes_are_read_or_refused_and_never_more(good, place, value, cut):
    spoilt = bytearray(good)
    spoilt[place % len(good)] = value
    for data in (bytes(spoilt), good[:cut]):
        try:
            captures.capture_of(data)
        except lab.LabError as error:
            assert str(error).endswith(".")  # noqa: PT017


def test_a_capture_of_another_model_is_refused(tmp_path):
    model, batch = small(), smooth_batch(size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        gradient(model, batch)
    with torch.random.fork_rng(devices=[]):
        other, wider = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 10)), small()
        wider[3] = nn.Linear(512, 11)
        deeper = nn.Sequential(small(), nn.Linear(10, 10))
    for wrong in (other, wider, deeper):
        with pytest.raises(lab.LabError, match="The captured weights are another model's"):
            lab.observe(wrong, tmp_path / "update.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model, batch = small(), smooth_batch(size=SIZE)
    with capturing(model, tmp_path / "update.safetensors"):
        gradient(model, batch)
    found = captures.read(tmp_path / "update.safetensors")
    found.weights["0.weight"][0, 0, 0, 0] = math.nan
    save(tmp_path / "x.safetensors", found.weights, found.update, replace(found.recipe))
    with pytest.raises(lab.LabError, match=r"own weights are no finite numbers in 0\.weight"):
        lab.observe(model, tmp_path / "x.safetensors")
