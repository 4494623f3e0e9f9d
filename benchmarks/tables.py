"""The report as Markdown tables."""

from __future__ import annotations

from typing import Any

from benchmarks.costs import BREACHING, OURS, STEP
from benchmarks.report import Report

NOTHING = "-"


def markdown(report: Report) -> str:
    """All tables that the report has figures for, and what they were measured on."""
    parts = (_costs(report), _race(report), circumstances(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; empty where there are no rows."""
    if not rows:
        return ""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """So many significant digits, without an exponent."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{float(f'{value:.{digits}g}'):g}"


def _costs(report: Report) -> str:
    head = (
        "case",
        "training step, s",
        "our iteration, training steps",
        "its floor",
        "breaching's, training steps",
        "breaching / ours",
        "training step, MB",
        "ours, x its memory",
        "breaching, x its memory",
    )
    rows = [_cost_row(case) for case in report["cases"] if "costs" in case or "memory_bytes" in case]
    return table(head, rows)


def _cost_row(case: dict[str, Any]) -> tuple[str, ...]:
    costs, memory = case.get("costs"), case.get("memory_bytes")
    found: list[str] = [NOTHING] * 8
    if costs:
        steps = costs["in_training_steps"]
        found[:2] = [number(costs["median_seconds"][STEP]), number(steps[OURS])]
        found[2] = number(costs.get("floor_in_training_steps"), 4)  # counted, not measured: a digit more
        found[3:5] = [number(steps[BREACHING]), number(costs["breaching_over_ours"])]
    if memory:
        step = memory[STEP]
        shares = [memory[OURS] / step, memory[BREACHING] / step] if step else [None, None]
        found[5:] = [number(value) for value in (step / 1e6, *shares)]
    return (case["title"], *found)


def _race(report: Report) -> str:
    head = (
        "race",
        "pictures",
        "ours to SSIM 0.8, s",
        "to stay there, s",
        "reached by",
        "our mean SSIM after 1 s",
        "our final SSIM",
        "breaching's default: whole run, s",
        "its final SSIM",
        "/ ours, to SSIM",
        "breaching's best: to SSIM 0.8, s",
        "reached by",
        "its final SSIM",
        "/ ours, to SSIM",
    )
    raced = [case for case in report["cases"] if "race" in case]
    text = table(head, [_race_row(case) for case in raced])
    return f"{text}\n\n{_race_notes(raced)}" if raced else ""


def _race_row(case: dict[str, Any]) -> tuple[str, ...]:
    found = case["race"]["summary"]
    heats, mark = found["heats"], " (extrapolated)" if found["default_extrapolated"] else ""
    return (
        case["title"],
        str(heats),
        number(found["ours_to_recognisable_s"]),
        number(found["ours_to_stay_recognisable_s"]),
        f"{found['ours_recognisable']} of {heats}",
        number(found["ours_mean_ssim_after_1_s"]),
        number(found["ours_final_ssim"]),
        number(found["default_whole_s"]) + mark,
        number(found["default_final_ssim"]),
        _ratio(found["default_whole_over_ours"], found["default_target_ssim"]) + mark,
        number(found["best_to_recognisable_s"]),
        f"{found['best_recognisable']} of {heats}",
        number(found["best_final_ssim"]),
        _ratio(found["best_arrival_over_ours"], found["best_target_ssim"]),
    )


def _ratio(ratio: float | None, target: float | None) -> str:
    """A low target is soon reached, so no ratio is told without it."""
    return NOTHING if ratio is None else f"{number(ratio)}, to {number(target, 2)}"


def _race_notes(raced: list[dict[str, Any]]) -> str:
    """What the ratios compare, and each network's setting."""
    lines = [
        "Medians over the pictures. The first ratio is breaching's whole default run (24,000 iterations, total variation 0.2) "
        "over our time to SSIM 0.8, or to its final SSIM where that is lower; the second is its time to that point with the "
        "setting that serves it best over ours to the same point. 'To stay there' is the time after which it never falls "
        "below 0.8 again."
    ]
    for case in raced:
        race, found = case["race"], case["race"]["summary"]
        setting = race["breaching_best_setting"]
        line = (
            f"{case['title']}: {race['pictures']}; breaching's best of {len({_setting(t) for t in race['tuning']})} settings "
            f"has {setting['iterations']} iterations and total variation {setting['total_variation']:g}"
        )
        if found["default_heats"]:
            line += f"; its default was run on the first {found['default_heats']}"
            line += f" with {found['default_iterations_run']:,} iterations"
        if found["default_extrapolated"]:
            line += ", and its time extrapolated to 24,000 from the cost of an iteration"
        if found["default_arrival_over_ours"] is not None:
            line += f"; it first got to the target after {number(found['default_arrival_over_ours'])} x our time"
        lines.append(f"{line}.")
    return "\n".join(f"- {line}" for line in lines)


def _setting(trial: dict[str, Any]) -> tuple[float, float]:
    return trial["setting"]["iterations"], trial["setting"]["total_variation"]


def circumstances(report: Report) -> str:
    """Date, machine, threads and versions in a sentence."""
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    clock = "processor seconds" if report["device"] == "cpu" else "seconds"
    threads = f"{report['threads']} thread{'s' if report['threads'] > 1 else ''}, " if report["device"] == "cpu" else ""
    glance = "A glance, far too short to be quoted. " if report.get("quick") else ""
    return f"{glance}Measured {report['date']} on {report['machine']}; {threads}float32, {clock}; {versions}."
