"""What strangers may send: hypothesis's strategies for every door of the lab, and what is known to have hurt once."""

import json
import pickle
import string

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

PLACES = (
    "/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/environ", "../../etc/hosts", "~/.ssh/id_rsa", "file:///etc/passwd",
    "C:\\Windows\\win.ini", "\\\\host\\share", "$HOME", "lab/client/datasets/pictures",
    "small_convnet-epoch-1.safetensors/..", ".",
)  # fmt: skip
SIGNS = "\x00\x07\x1b\r\n\t\u202e\u2066\u200b\ufeff\ud800\udfff\U0010ffff\u0663²½€𝟙é" + string.punctuation
SETS = ("folder", "npz", "cifar10", "cifar100", "mnist", "fashion_mnist", "lent_folder")


def distinct(strategy, count):
    """So many different values of a strategy, the same ones on every machine."""
    found = {}

    @settings(
        max_examples=count + count // 2,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value):
        if len(found) < count:
            found.setdefault(pickle.dumps(value), value)

    collect()
    assert len(found) == count, f"only {len(found)} of {count} are distinct"
    return list(found.values())


def nested(depth, brace):
    """Lists or objects inside one another."""
    value = 0
    for _ in range(depth):
        value = [value] if brace == "[" else {"name": value}
    return value


words = some.one_of(
    some.text(min_size=1, max_size=40),
    some.text(alphabet=SIGNS, min_size=1, max_size=30),
    some.builds(
        lambda sign, size: sign * size,
        some.sampled_from(["x", "é", "\u202e", "\ud800", "0", "(", "+"]),
        some.integers(250, 3000),
    ),
    some.builds("{}{}".format, some.sampled_from(PLACES), some.text(alphabet="/.x\x00", max_size=4)),
    some.sampled_from(["__class__", "{0.__class__}", "%s%n", "None", "nan", "1e400", "-0", "0x10", "1_000", "<b>", "'; --"]),
)
numbers = some.one_of(
    some.builds(lambda digits, more: 10**digits + more, some.integers(13, 5000), some.integers(0, 9)),
    some.builds(lambda digits, more: -(10**digits) - more, some.integers(0, 450), some.integers(0, 9)),
    some.floats(min_value=1e12, allow_nan=False),
    some.floats(max_value=-1e-3, allow_nan=False),
    some.just(float("nan")),
)
containers = some.one_of(
    some.builds(nested, some.integers(1, 200), some.sampled_from("[{")),
    some.builds(lambda value, size: [value] * size, some.one_of(words, numbers), some.integers(101, 3000)),
    some.sampled_from([[0] * 1_000_000, {"name": "x" * 1_000_000}, [], {}, [[]], {"name": None}]),
    some.dictionaries(
        some.one_of(some.sampled_from(["name", "path", "root", "first", "weight"]), words), words, min_size=1, max_size=3
    ),
    some.builds(lambda name, place: {"name": name, "path": place}, some.sampled_from(SETS), some.sampled_from(PLACES)),
)
anything = some.one_of(words, numbers, containers, some.none(), some.booleans())
"""Nothing that a control of the form would take, but for true and false."""
unless_true = some.one_of(words, numbers, containers, some.none(), some.just(False))

FORM = (
    "picture", "network", "trained", "distance", "local_steps", "batch_size", "tv", "iterations", "seed", "defence", "attack",
    "network.width", "labels", "attack.optimiser", "attack.boxed", "attack.restarts", "folder",
)  # fmt: skip
OFF_FORM = (
    "dataset",
    "dataset.path",
    "dataset.root",
    "dataset.first",
    "weights",
    "image_size",
    "defences",
    "attack.priors",
    "protocol",
)
VOCABULARY = {
    "rail": [("edit", ("path", "value")), ("upload", ("name",)), ("at_once", ("want",))],
    "share": [("qr", ("address",)), ("hide", ("paths",)), ("save", ("as",)), ("open", ("name",)), ("go", ("query",))],
    "compare": [("compare", ("path", "values")), ("drawn", ("id",))],
    "transport": [("step", ("count",)), ("pace", ("seconds",))],
    "film": [("drawn", ("frame",))],
    "secret": [("sketch", ("kinds", "bonds", "places")), ("draw", ("kinds", "bonds")), ("write", ("words",))],
    "landscape": [("show", ("grid",)), ("fill", ("grid",)), ("open", ("grid", "row", "column"))],
    "sent": [("layer", ("name",))],
}
KEYS = {
    "panel": ("row", "descend", "watching", "restore"),
    "chips": ("choose", "closed"),
    "doctor": ("show", "mend"),
    "guess": ("type", "begin"),
    "ending": ("type", "next"),
    "presets": ("show",),
    "guide": ("go", "run"),
    "sent": ("descend", "layer"),
}


def _typed(view):
    """Messages that one of the view's own verbs heads, with arguments that it should not have."""
    return some.one_of(
        [
            some.fixed_dictionaries({"type": some.just(verb)} | dict.fromkeys(arguments, anything))
            for verb, arguments in VOCABULARY[view]
        ]
    )


edits = some.fixed_dictionaries(
    {
        "type": some.just("edit"),
        "path": some.one_of(some.sampled_from(FORM + OFF_FORM), words),
        "value": some.one_of(words, numbers, containers, some.none()),
    }
)
whole_contents = some.one_of(anything, some.builds(lambda kind: {"type": kind}, anything))
messages = some.one_of(
    some.tuples(some.just("rail"), edits),
    *[some.tuples(some.just(view), _typed(view)) for view in VOCABULARY],
    *[
        some.tuples(some.just(view), some.fixed_dictionaries({}, optional=dict.fromkeys(names, unless_true)))
        for view, names in KEYS.items()
    ],
    some.tuples(some.sampled_from([*VOCABULARY, *KEYS]), whole_contents),
)
buffers = some.one_of(
    some.just([]), some.none(), some.just("text"), some.lists(some.one_of(some.binary(max_size=40), anything), max_size=2)
)

comm_messages = some.tuples(
    some.sampled_from([*VOCABULARY, *KEYS]),
    some.one_of(
        some.fixed_dictionaries(
            {"content": some.one_of(anything, some.fixed_dictionaries({}, optional={"data": anything}))},
            optional={"buffers": anything},
        ),
        some.builds(
            lambda state, paths: {
                "content": {"data": {"method": "update", "state": state, "buffer_paths": paths}},
                "buffers": [],
            },
            some.one_of(
                anything, some.dictionaries(some.sampled_from(["film", "_esm", "layout", "state", "errors", "keys"]), anything)
            ),
            anything,
        ),
        some.builds(
            lambda method, more: {"content": {"data": {"method": method} | more}}, anything, some.just({"content": {}})
        ),
    ),
)

OPTIONS = (
    "dataset", "network", "weights", "trained", "attack", "protocol", "defences", "labels", "seed", "batch_size", "image_size",
    "tv", "distance", "preset", "hide", "network.width", "attack.priors.0.weight", "dataset.path", "defence", "x",
)  # fmt: skip
entry_texts = some.one_of(
    words,
    some.builds(
        lambda name, brackets: name + brackets, some.sampled_from(["mlp:width=", "resnet:depth=", "folder:path="]), words
    ),
    some.builds(
        lambda opening, count: "gradient_matching:priors=" + opening * count, some.sampled_from("(,+=:"), some.integers(1, 3000)
    ),
    some.builds("{}:path={}".format, some.sampled_from(SETS), some.sampled_from(PLACES)),
    some.builds("{}:root={},first=1".format, some.sampled_from(SETS), some.sampled_from(PLACES)),
    some.builds(lambda digits: f"mlp:width={10**digits}", some.integers(5, 4000)),
)
links = some.one_of(
    some.builds("{}={}".format, some.sampled_from(OPTIONS), entry_texts),
    some.builds("{}={}&{}={}".format, some.sampled_from(OPTIONS), words, some.sampled_from(OPTIONS), entry_texts),
    some.builds(
        lambda part, count: part * count,
        some.sampled_from(["seed=1&", "x&", "~", "%", "hide=a,", "&=?"]),
        some.integers(1, 900),
    ),
    words,
)


def _json(value):
    """As a page or a person may write it: what has no JSON form stands in JavaScript's words."""
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return '{"seed": 1' + "0" * 5000 + "}"


PLAIN = (
    "dataset",
    "network",
    "attack",
    "protocol",
    "defences",
    "labels",
    "seed",
    "batch_size",
    "weights",
    "trained",
    "image_size",
    "zzz",
)
experiments = some.one_of(
    some.builds(lambda key, value: {key: value}, some.sampled_from(PLAIN), some.one_of(words, numbers, containers)),
    some.builds(
        lambda name, place, key: {"dataset": {"name": name, key: place}},
        some.sampled_from(SETS[:-1]),
        some.sampled_from(PLACES),
        some.sampled_from(["path", "root"]),
    ),
    some.builds(lambda count, text: {"dataset": {"name": "inline", "pictures": [text] * count}}, some.integers(1, 200), words),
    some.builds(lambda value: {"attack": {"name": "gradient_matching", "priors": value}}, containers),
    words,
    numbers,
)
texts_as_json = some.one_of(
    experiments.map(_json).map(lambda text: text.encode(errors="surrogatepass")),
    some.builds(
        lambda brace, count: brace * count, some.sampled_from([b"[", b"{", b'{"a":', b"[[],"]), some.integers(1, 100_000)
    ),
    some.builds(
        lambda start, rest: start + rest,
        some.sampled_from([b"\xff\xfe", b"\xef\xbb\xbf", b"\xfe\xff", b"\x00", b"{"]),
        some.binary(max_size=60),
    ),
    some.binary(max_size=80),
)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FRAME = {"iteration": 1, "objective": 0.5, "psnr_db": None, "ssim": 0.1, "seconds": 1.0, "png": PICTURE}


def a_run(**changes):
    """A run file that is right but for the changes."""
    return {"format": "inverting-gradients-lab run 1", "experiment": {}, "iterations": 5, "frames": [FRAME]} | changes


run_files = some.one_of(
    some.builds(lambda value: a_run(experiment=value), experiments).map(_json).map(str.encode),
    some.builds(
        lambda name, value: a_run(frames=[FRAME | {name: value}]),
        some.sampled_from([*FRAME, "new"][:5]),
        some.one_of(words, containers),
    )
    .map(_json)
    .map(str.encode),
    some.builds(
        lambda name, value: a_run(**{name: value}),
        some.sampled_from(["format", "frames", "iterations"]),
        some.one_of(words, numbers, containers),
    )
    .map(_json)
    .map(str.encode),
    some.builds(
        lambda png: a_run(frames=[FRAME | {"png": png}]),
        some.one_of(anything, some.integers(0, 90).map(lambda at: PICTURE[:at])),
    )
    .map(_json)
    .map(str.encode),
    texts_as_json,
)

FLAGS = (
    "--preset", "--experiment", "--image", "--label", "--dataset", "--network", "--weights", "--attack", "--distance", "--tv",
    "--labels", "--defence", "--batch", "--local-steps", "--local-lr", "--iterations", "--restarts", "--seed", "--device",
)  # fmt: skip


def _is_no_number(text):
    try:
        float(text)
    except ValueError:
        return True
    return False


command_lines = some.one_of(
    some.tuples(some.sampled_from(FLAGS), some.one_of(words, entry_texts).filter(_is_no_number)),
    some.tuples(
        some.sampled_from(FLAGS), numbers.map(lambda number: "1" + "0" * 400 if isinstance(number, int) else str(number))
    ),
    some.tuples(words.map(lambda word: f"--{word}")),
)

HEADS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"RIFF\x00\x00\x00\x00WEBP",
    b"II*\x00",
    b"P6\n9 9\n255\n",
    b"%!PS",
    b"<svg",
)
uploads = some.one_of(
    some.builds(lambda head, rest: head + rest, some.sampled_from(HEADS), some.binary(max_size=200)),
    some.binary(max_size=200),
)
