"""What a server may be told, in one file: ``gradlab serve --public --settings FILE`` (``deploy/gradlab.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lab.errors import LabError
from lab.options.fields import Bounds, Help
from lab.options.fields import Option as Options
from lab.options.plain import from_plain

GIBIBYTE = 2**30


@dataclass(frozen=True)
class Settings(Options):
    """The settings of a server; the defaults are those of ``gradlab serve`` on one's own machine."""

    hosts: Annotated[tuple[str, ...], Help("names under which browsers reach the server, besides localhost")] = ()
    listen: Annotated[str, Help("address of this machine to listen on; 0.0.0.0 is every one")] = "localhost"
    visitors: Annotated[int, Bounds(0, 10_000), Help("visitors at once; 0 sets no limit", "visitors")] = 0
    waiting: Annotated[int, Bounds(0, 100_000), Help("visitors who may wait for their turn", "visitors")] = 0
    ready_engines: Annotated[int, Bounds(1, 20), Help("engines kept ready for whoever comes next", "engines")] = 1
    unclaimed_seconds: Annotated[int, Bounds(1, 86_400), Help("until an engine is freed that no page connects to", "s")] = 15
    left_seconds: Annotated[int, Bounds(1, 86_400), Help("until an engine is freed whose page is gone", "s")] = 15
    silent_seconds: Annotated[int, Bounds(0, 86_400), Help("until one is freed whose page sleeps; 0 waits for ever", "s")] = 0
    engine_bytes: Annotated[int, Bounds(0, 2**50), Help("memory an engine may take beyond its start; 0: all", "bytes")] = 0
    engine_cpu_seconds: Annotated[int, Bounds(0, 10**9), Help("processor time a visitor may take; 0: any", "s")] = 0
    round_bytes: Annotated[int, Bounds(0, 2**50), Help("memory that one experiment may need; 0: any", "bytes")] = 0
    messages_per_second: Annotated[int, Bounds(0, 10_000), Help("what a page may send in the long run; 0: any", "1/s")] = 200
    metrics: Annotated[bool, Help("whether /metrics is answered, for Prometheus")] = False

    def check(self) -> None:
        """A queue makes sense only before a door that can be full."""
        if self.waiting and not self.visitors:
            raise LabError("waiting = a number has no meaning while visitors = 0 sets no limit; give visitors as well.")


PUBLIC = Settings(
    visitors=40,
    waiting=200,
    ready_engines=3,
    silent_seconds=60,
    engine_bytes=GIBIBYTE,
    engine_cpu_seconds=600,
    round_bytes=GIBIBYTE // 2,
    messages_per_second=40,
    metrics=True,
)
"""What ``gradlab serve --public`` begins with."""


def read(path: Path, base: Settings = PUBLIC) -> Settings:
    """``base`` with what a TOML file says instead. Raises ``LabError`` for anything wrong in it."""
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise LabError(f"There is no settings file {path}; deploy/gradlab.toml shows what can be set.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"The settings file {path} cannot be read ({type(error).__name__}); give a TOML file.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LabError(f"The settings file {path} is not valid TOML ({error}); deploy/gradlab.toml shows the form.") from None
    return from_plain(Settings, {**vars(base), **told}, "settings")
