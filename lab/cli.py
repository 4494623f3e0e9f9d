"""The command ``gradlab``. What costs time to import is imported by the command that needs it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer import Option
from typer.core import TyperGroup

from lab.commands.saying import leave_quietly, ready_streams, say, unwritten
from lab.errors import TOO_LARGE, LabError, is_short_of_memory, quoted

if TYPE_CHECKING:
    from lab.commands.interruption import CommandResult

WRONG_INPUT, BROKEN, INTERRUPTED = 2, 1, 130


class Sentences(TyperGroup):
    """Every error becomes one sentence on standard error and an exit status."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """0 done, 2 for wrong input, 130 when interrupted, 1 for a bug of the lab."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            ready_streams()
            status = super().main(words, prog_name or "gradlab", complete_var, False, windows_expand_args, **extra)
        except BrokenPipeError:
            leave_quietly()
        except typer.TyperException as error:
            _fail(_told(error), WRONG_INPUT)
        except LabError as error:
            _fail(str(error), WRONG_INPUT)
        except Exception as error:
            if isinstance(error, OSError) and error.errno == ENOSPC and error.filename is None:  # help, which Typer prints
                _fail(str(unwritten(error)), WRONG_INPUT)
            if is_short_of_memory(error) and words[:1] != ["--debug"]:
                _fail(TOO_LARGE, WRONG_INPUT)
            if words[:1] == ["--debug"]:
                traceback.print_exc()
            what = f"gradlab failed in a way that it should not ({type(error).__name__}: {error})"
            _fail(f"{LabError(what)}. Run it again as 'gradlab --debug ...' and report what it prints.", BROKEN)
        sys.exit(status if isinstance(status, int) else 0)


def _told(error: typer.TyperException) -> str:
    """What Typer says of the words that it was given, on one line; a whole page of help, where it says that, as it is."""
    message = error.format_message()
    return message if message.startswith("Usage:") else str(LabError(message))


def _fail(sentence: str, status: int) -> NoReturn:
    with suppress(OSError):  # where not even this can be said, the status says it
        print(sentence if sentence.endswith((".", "?", "\n")) else f"{sentence}.", file=sys.stderr, flush=True)
    sys.exit(status)


def whole(text: str) -> int:
    """A whole number as typed."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{quoted(text)} is not a whole number; give one such as 200.") from None


def number(text: str) -> float:
    """A number as typed."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{quoted(text)} is not a number; give one such as 0.1.") from None


app = typer.Typer(
    cls=Sentences,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def lab(debug: Annotated[bool, Option("--debug", help="print the full traceback when the lab itself fails")] = False) -> None:
    """Rebuild private pictures from the gradients that federated-learning clients share."""


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="network, attack, distance ... or preset; all if left out")] = None,
    json: Annotated[bool, Option("--json", help="complete and readable by programs")] = False,
) -> None:
    """List everything that can be chosen by name, with its options, bounds and defaults."""
    from lab.commands.listing import as_json, as_text, listing

    say((as_json if json else as_text)(listing(kind)))


NAMED = "NAME[:option=value,...]"


@app.command()
def run(
    preset: Annotated[str | None, Option(metavar="NAME", help="start from a named experiment (gradlab list preset)")] = None,
    experiment: Annotated[Path | None, Option(metavar="FILE", help="start from JSON: an experiment or a result.json")] = None,
    image: Annotated[list[Path] | None, Option(metavar="PATH", help="a picture of your own; repeat it for a batch")] = None,
    label: Annotated[list[int] | None, Option(metavar="N", parser=whole, help="class of each --image; 0 if left out")] = None,
    dataset: Annotated[str | None, Option(metavar=NAMED, help="where the private pictures come from")] = None,
    network: Annotated[str | None, Option(metavar=NAMED, help="such as resnet:depth=20,widen=4")] = None,
    trained: Annotated[bool | None, Option("--trained/--untrained", help="weights from training, or fresh random ones")] = None,
    weights: Annotated[Path | None, Option(metavar="FILE", help="a local file with trained weights")] = None,
    model: Annotated[str | None, Option(metavar="FILE.py:NAME", help="a model of your own; its code is run")] = None,
    update: Annotated[
        Path | None, Option(metavar="FILE", help="what a client sent: a capture, or .safetensors, .pt, .npz")
    ] = None,
    like: Annotated[str | None, Option(metavar="CxHxW", help="shape of a private picture behind --update: 3x32x32")] = None,
    mean: Annotated[str | None, Option(metavar="X,...", help="what the client's pixels in [0, 1] were normalised by")] = None,
    std: Annotated[str | None, Option(metavar="X,...", help="and divided by then")] = None,
    truth: Annotated[
        list[Path] | None, Option(metavar="PATH", help="the picture behind --update, for scores; repeat it")
    ] = None,
    attack: Annotated[str | None, Option(metavar=NAMED, help="such as analytic")] = None,
    distance: Annotated[str | None, Option(metavar="NAME", help="how two gradients are compared")] = None,
    tv: Annotated[float | None, Option(metavar="X", parser=number, help="weight of total variation; 0 leaves it out")] = None,
    size: Annotated[str | None, Option(metavar="N|HxW", help="pixels of the pictures: 28, or 178x218")] = None,
    channels: Annotated[int | None, Option(metavar="N", parser=whole, help="of the pictures: 1 to 4; grey: 1")] = None,
    labels: Annotated[str | None, Option(metavar="HOW", help="the server's labels: known, inferred or joint")] = None,
    defence: Annotated[list[str] | None, Option(metavar=NAMED, help="repeat it for several, applied in order")] = None,
    epsilon: Annotated[
        float | None, Option(metavar="X", parser=number, help="of differential privacy, that the noise shall keep")
    ] = None,
    delta: Annotated[
        float | None, Option(metavar="X", parser=number, help="for which epsilon is told; 1e-5 if left out")
    ] = None,
    rounds: Annotated[int | None, Option(metavar="N", parser=whole, help="asked so often, the server takes the mean")] = None,
    batch: Annotated[int | None, Option(metavar="N", parser=whole, help="private pictures behind one update")] = None,
    protocol: Annotated[str | None, Option(metavar=NAMED, help="such as fedavg:optimiser=adam,learning_rate=0.001")] = None,
    client_loss: Annotated[
        str | None, Option(metavar=NAMED, help="what the client minimises: bce_with_logits, mse, cross_entropy:...")
    ] = None,
    local_steps: Annotated[int | None, Option(metavar="N", parser=whole, help="local SGD steps; 0 sends the gradient")] = None,
    local_batch_size: Annotated[int | None, Option(metavar="N", parser=whole, help="pictures in a local step; 0: all")] = None,
    local_lr: Annotated[float | None, Option(metavar="X", parser=number, help="the client's learning rate")] = None,
    iterations: Annotated[int | None, Option(metavar="N", parser=whole, help="steps of the attack")] = None,
    seconds: Annotated[float | None, Option(metavar="S", parser=number, help="stop after S seconds of attack")] = None,
    restarts: Annotated[int | None, Option(metavar="N", parser=whole, help="attempts from different starts")] = None,
    seed: Annotated[int | None, Option(metavar="N", parser=whole, help="the seed of everything random")] = None,
    device: Annotated[str, Option(metavar="NAME", help="auto, cpu, cuda or mps")] = "auto",
    out: Annotated[Path | None, Option(metavar="DIR", help="folder for result.json, pictures, history and film")] = None,
    download: Annotated[bool, Option("--download", help="fetch the published data set and weights that are missing")] = False,
) -> None:
    """Attack one round of federated learning; flags win over the preset or the experiment file."""
    from lab.commands.attacking import Request
    from lab.commands.attacking import attack as run_attack
    from lab.commands.choosing import Choices, OwnFlags, sides
    from lab.commands.privacy_target import PrivacyTarget
    from lab.machine.devices import check_name

    if seconds is not None and not seconds > 0:
        raise LabError(f"--seconds {seconds:g} is out of range; give a number of seconds above 0.")
    check_name(device)
    target = PrivacyTarget.typed(epsilon, delta, defence or ())
    choices = Choices(
        preset=preset,
        experiment=experiment,
        dataset=dataset,
        images=image or (),
        labels_of_images=label or (),
        network=network,
        trained=trained,
        weights=weights,
        attack=attack,
        defences=defence or (),
        protocol=protocol,
        epsilon=epsilon,
        delta=delta,
        edits=(
            ("distance", distance),
            ("tv", tv),
            ("labels", labels),
            ("batch_size", batch),
            ("client_loss", client_loss),
            ("local_steps", local_steps),
            ("local_batch_size", local_batch_size),
            ("local_lr", local_lr),
            ("iterations", iterations),
            ("restarts", restarts),
            ("seed", seed),
            ("rounds", rounds),
            ("channels", channels),
            *sides(size),
        ),
    )
    own = OwnFlags(model, update, like, mean, std, tuple(truth or ()))
    _tell(run_attack(Request(choices, own, target, device, seconds, out, download)))


def _tell(told: CommandResult) -> None:
    """What came out, and a status of its own where it was cut short."""
    say(told.summary)
    if told.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def diagnose(
    capture: Annotated[Path | None, typer.Argument(metavar="CAPTURE", help="a file that lab.capture wrote")] = None,
    model: Annotated[str | None, Option(metavar="FILE.py:NAME", help="a model of your own; its code is run")] = None,
    network: Annotated[str | None, Option(metavar=NAMED, help="or one of the catalogue's")] = None,
    weights: Annotated[Path | None, Option(metavar="FILE", help="the weights before the round")] = None,
    update: Annotated[Path | None, Option(metavar="FILE", help="what a client sent: .safetensors, .pt, .npz")] = None,
    like: Annotated[str | None, Option(metavar="CxHxW", help="shape of a private picture: 3x32x32")] = None,
    mean: Annotated[str | None, Option(metavar="X,...", help="what the client's pixels in [0, 1] were normalised by")] = None,
    std: Annotated[str | None, Option(metavar="X,...", help="and divided by then")] = None,
    label: Annotated[list[int] | None, Option(metavar="N", parser=whole, help="a label that the server knows")] = None,
    batch: Annotated[int | None, Option(metavar="N", parser=whole, help="private pictures behind the update")] = None,
    local_steps: Annotated[int | None, Option(metavar="N", parser=whole, help="local SGD steps; 0 sends the gradient")] = None,
    local_lr: Annotated[float | None, Option(metavar="X", parser=number, help="the client's learning rate")] = None,
) -> None:
    """Say in plain words what an update is, and what stands in the way of attacking it."""
    from lab.commands.choosing import Choices, OwnFlags
    from lab.commands.choosing_own import check_flags, chosen_round
    from lab.findings.diagnosis import diagnose as diagnose_it

    if (capture is None) == (update is None):
        raise LabError("One update is diagnosed at a time; give a CAPTURE, or --update FILE.")
    own = OwnFlags(model, update or capture, like, mean, std)
    edits = (("batch_size", batch), ("local_steps", local_steps), ("local_lr", local_lr))
    choices = Choices(network=network, weights=weights, labels_of_images=label or (), edits=edits)
    check_flags(own, choices)
    seen = chosen_round(own, choices)
    say("\n".join((*diagnose_it(seen).sentences, *seen.notes)))


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="such as cifar10, squeezenet, imagenet_resnet:depth=50")
    ],
    data: Annotated[Path | None, Option(metavar="PATH", help="folder of the data sets; $GRADLAB_DATA if left out")] = None,
) -> None:
    """Download published data sets and weights; nothing else of the lab downloads unasked."""
    from lab.commands.fetching import fetch as fetch_it

    for name in names:
        say(fetch_it(name, data))


@app.command()
def train(
    network: Annotated[str, typer.Argument(metavar="NETWORK[:option=value,...]", help="gradlab list network shows them")],
    data: Annotated[
        Path | None, Option(metavar="PATH", help="folder with the data set; if it is not there, it is downloaded to it")
    ] = None,
    dataset: Annotated[str, Option(metavar="NAME", help="which data set; cifar10, or the lab's sentences, if left out")] = "",
    epochs: Annotated[int | None, Option(metavar="N", parser=whole, help="passes over the training pictures")] = None,
    batch: Annotated[int | None, Option(metavar="N", parser=whole, help="pictures in one step")] = None,
    rate: Annotated[float | None, Option(metavar="X", parser=number, help="highest step size")] = None,
    seed: Annotated[int | None, Option(metavar="N", parser=whole, help="seed of weights, order and augmentation")] = None,
    out: Annotated[Path | None, Option(metavar="DIR", help="folder of the weights; runs/NETWORK if left out")] = None,
    keep_epochs: Annotated[str, Option(metavar="N,...", help="also keep the weights after so many epochs: 0,0.2,1")] = "",
    half: Annotated[bool, Option("--half", help="round the finished weights to float16: half the file")] = False,
) -> None:
    """Train a network on a data set; the same command goes on with an interrupted training."""
    from lab.commands.training import parse_stages
    from lab.commands.training import run as train_it

    changes = {"epochs": epochs, "batch_size": batch, "learning_rate": rate, "seed": seed}
    try:
        say(train_it(network, dataset, data, changes, out, parse_stages(keep_epochs), half=half))
    except KeyboardInterrupt as interruption:
        say(str(interruption))
        raise typer.Exit(INTERRUPTED) from None


Clients = Annotated[int | None, Option(metavar="N", parser=whole, help="who share the pictures out: 2 to 100")]
Rounds = Annotated[int | None, Option(metavar="N", parser=whole, help="times that the server averages")]
Sampled = Annotated[int | None, Option(metavar="N", parser=whole, help="clients drawn for each round; 0 takes all")]
Concentration = Annotated[float | None, Option(metavar="X", parser=number, help="of the Dirichlet split; small: unlike")]
Pictures = Annotated[int | None, Option(metavar="N", parser=whole, help="a client's behind one update; 0 takes all")]
DatasetName = Annotated[str | None, Option(metavar="NAME", help="digits, mnist, cifar10 ...")]
DataFolder = Annotated[Path | None, Option(metavar="PATH", help="folder with the data set; digits need none")]
NetworkName = Annotated[str | None, Option(metavar=NAMED, help="such as mlp:width=64")]
ProtocolName = Annotated[str | None, Option(metavar=NAMED, help="such as fedsgd")]
ServerRate = Annotated[float | None, Option(metavar="X", parser=number, help="how far the mean update moves")]
Secure = Annotated[bool | None, Option("--secure", help="masks hide each update: the server sees the sum alone")]
Lost = Annotated[float | None, Option(metavar="X", parser=number, help="chance of a client to drop out of a round")]


@app.command()
def federate(
    clients: Clients = None,
    rounds: Rounds = None,
    sampled: Sampled = None,
    concentration: Concentration = None,
    pictures: Pictures = None,
    dataset: DatasetName = None,
    data: DataFolder = None,
    network: NetworkName = None,
    protocol: ProtocolName = None,
    server_rate: ServerRate = None,
    defence: Annotated[list[str] | None, Option(metavar=NAMED, help="of every client; repeat it for several")] = None,
    seed: Annotated[int | None, Option(metavar="N", parser=whole, help="the seed of everything random")] = None,
    secure: Secure = None,
    lost: Lost = None,
    out: Annotated[Path, Option(metavar="DIR", help="folder of the curves and of every update")] = Path("runs/federation"),
    look: Annotated[
        str | None, Option(metavar="ROUND:CLIENT", help="attack this update afterwards: 1:3; the mean of rounds: 1-20:3")
    ] = None,
    attack: Annotated[str | None, Option(metavar=NAMED, help="by this attack; the recommended one if left out")] = None,
    dishonest: Annotated[bool, Option("--dishonest", help="with --secure and --look: a server that breaks it")] = False,
    epsilon: Annotated[
        float | None, Option(metavar="X", parser=number, help="of differential privacy, that the noise shall keep")
    ] = None,
    delta: Annotated[
        float | None, Option(metavar="X", parser=number, help="for which epsilon is told; 1e-5 if left out")
    ] = None,
) -> None:
    """Train a whole federation, with any defence on its clients; the same command goes on with an interrupted one.

    Sweeps over defences, strengths and seeds, on Dask: gradlab price.
    """
    from lab.commands.federating import prepare
    from lab.commands.federating import run as federate_it
    from lab.commands.federation_attack import UpdateSelection
    from lab.commands.privacy_target import PrivacyTarget

    target = PrivacyTarget.typed(epsilon, delta, defence or ())
    given = {"clients": clients, "rounds": rounds, "sampled": sampled, "concentration": concentration, "pictures": pictures}
    given |= {"dataset": dataset, "network": network, "protocol": protocol, "server_rate": server_rate, "defences": defence}
    settings = prepare(given | {"seed": seed, "secure": secure, "lost": lost}, data)
    if dishonest and not look:
        raise LabError("--dishonest breaks secure aggregation to see one client; name it by --look, such as --look 1:3.")
    try:
        looked = UpdateSelection.parsed(look, dishonest=dishonest) if look else None
        say(federate_it(settings, out, looked, attack, target.delta, target.epsilon))
    except KeyboardInterrupt as interruption:
        say(str(interruption))
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def price(
    defences: Annotated[list[str] | None, typer.Argument(metavar="DEFENCE...", help="all of the catalogue if left out")] = None,
    seeds: Annotated[int, Option(metavar="N", parser=whole, help="federations of each defence and strength")] = 3,
    clients: Clients = None,
    rounds: Rounds = None,
    sampled: Sampled = None,
    concentration: Concentration = None,
    pictures: Pictures = None,
    dataset: DatasetName = None,
    data: DataFolder = None,
    network: NetworkName = None,
    protocol: ProtocolName = None,
    server_rate: ServerRate = None,
    secure: Secure = None,
    lost: Lost = None,
    out: Annotated[Path, Option(metavar="FILE", help="the list of prices")] = Path("runs/prices.json"),
    workers: Annotated[int | None, Option(metavar="N", parser=whole, help="processes here; one a core if left out")] = None,
    scheduler: Annotated[str, Option(metavar="ADDRESS", help="a Dask scheduler elsewhere, such as tcp://host:8786")] = "",
) -> None:
    """Measure what defences cost: whole federations, as gradlab federate trains them, at five strengths of each; resumable."""
    from lab.commands.federating import prepare
    from lab.commands.pricing import price as price_them

    given = {"clients": clients, "rounds": rounds, "sampled": sampled, "concentration": concentration, "pictures": pictures}
    given |= {"dataset": dataset, "network": network, "protocol": protocol, "server_rate": server_rate}
    settings = prepare(given | {"secure": secure, "lost": lost}, data)
    told = price_them(defences or (), settings, seeds, out, workers, scheduler)
    say(told.summary)
    if told.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def duel(
    own: Annotated[
        Path | None, Option("--with", metavar="FILE.py", help="a defence or an attack of your own; its code is run")
    ] = None,
    images: Annotated[int | None, Option(metavar="N", parser=whole, help="pictures a bout; 20 if left out")] = None,
    iterations: Annotated[int | None, Option(metavar="N", parser=whole, help="steps of every attack")] = None,
    seeds: Annotated[int | None, Option(metavar="N", parser=whole, help="seeds a picture; 3 if left out")] = None,
    data: Annotated[Path | None, Option(metavar="PATH", help="folder with CIFAR-10; else the gallery")] = None,
    out: Annotated[Path, Option(metavar="DIR", help="folder of the results")] = Path("runs/duel"),
    workers: Annotated[int | None, Option(metavar="N", parser=whole, help="processes here; one a core if left out")] = None,
    scheduler: Annotated[str, Option(metavar="ADDRESS", help="a Dask scheduler elsewhere, such as tcp://host:8786")] = "",
    only: Annotated[
        str, Option(metavar="TEXT", help="measure only bouts whose name contains this: 'small_convnet early'")
    ] = "",
) -> None:
    """Every defence at five strengths against attackers that know it and that do not; a front of leak and price; resumable."""
    from lab.commands.duelling import duel as duel_them
    from lab.commands.reproducing import Place

    told = duel_them(
        {"images": images, "iterations": iterations, "seeds": seeds}, Place(workers, scheduler, data, out, only), own
    )
    say(told.summary)
    if told.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def reproduce(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="gradlab list study shows them")],
    images: Annotated[int | None, Option(metavar="N", parser=whole, help="pictures a cell")] = None,
    iterations: Annotated[int | None, Option(metavar="N", parser=whole, help="steps of every attack")] = None,
    seeds: Annotated[int | None, Option(metavar="N", parser=whole, help="seeds a picture")] = None,
    budget: Annotated[str | None, Option(metavar="small|paper", help="minutes, or the paper's own settings")] = None,
    data: Annotated[Path | None, Option(metavar="PATH", help="folder with CIFAR-10 and others; else the gallery")] = None,
    out: Annotated[Path | None, Option(metavar="DIR", help="folder of the results; runs/studies/STUDY if left out")] = None,
    workers: Annotated[int | None, Option(metavar="N", parser=whole, help="processes here; one a core if left out")] = None,
    scheduler: Annotated[str, Option(metavar="ADDRESS", help="a Dask scheduler elsewhere, such as tcp://host:8786")] = "",
    only: Annotated[str, Option(metavar="TEXT", help="measure only cells whose name contains this")] = "",
) -> None:
    """Run a study of the paper to its table, figure and pictures; the same command goes on where it was stopped."""
    from lab.commands.reproducing import Place
    from lab.commands.reproducing import reproduce as reproduce_it

    changes = {"images": images, "iterations": iterations, "seeds": seeds, "budget": budget}
    told = reproduce_it(study, changes, Place(workers, scheduler, data, out, only))
    say(told.summary)
    if told.interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def serve(
    port: Annotated[int, Option(metavar="N", parser=whole, help="port on this machine")] = 8866,
    browser: Annotated[bool, Option("--browser/--no-browser", help="open the page in the browser")] = True,
    lessons: Annotated[bool, Option("--lessons", help="serve the lessons of the course, to read, instead of the page")] = False,
    public: Annotated[bool, Option("--public", help="for strangers: a bound on everything, and a queue")] = False,
    settings: Annotated[Path | None, Option(metavar="FILE", help="TOML such as deploy/gradlab.toml; with --public")] = None,
    host: Annotated[list[str] | None, Option(metavar="NAME", help="a name by which browsers reach it; repeat it")] = None,
    listen: Annotated[str | None, Option(metavar="ADDRESS", help="0.0.0.0 in a container; localhost if left out")] = None,
    data: Annotated[list[Path] | None, Option(metavar="DIR", help="a folder of pictures to offer by name; repeat it")] = None,
) -> None:
    """Serve the page on this machine until Ctrl-C."""
    from lab.commands.serving import serve as serve_it

    words = ["--browser" if browser else "--no-browser"]
    words += [flag for flag, wanted in (("--lessons", lessons), ("--public", public)) if wanted]
    words += ["--settings", str(settings)] if settings is not None else []
    words += [word for name in host or () for word in ("--host", name)]
    words += [word for folder in data or () for word in ("--data", str(folder))]
    words += ["--listen", listen] if listen is not None else []
    raise typer.Exit(serve_it(port, words))


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
def bench(context: typer.Context) -> None:
    """Measure the lab beside breaching, turn by turn (gradlab bench --help)."""
    from lab.commands.benching import bench as bench_it

    raise typer.Exit(bench_it(context.args))


def main() -> None:
    """The entry point of ``gradlab``."""
    app()


if __name__ == "__main__":
    main()
