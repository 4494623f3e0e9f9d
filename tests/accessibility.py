"""Axe on the page that a person sees: when everything that fades or slides has come to rest."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

AT_REST = "() => document.getAnimations().every(animation => animation.playState !== 'running')"


def faults(page):
    """Axe's report of what it finds wrong, or nothing. Half-faded text has too little contrast: wait for it."""
    page.wait_for_function(AT_REST)
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""


def faults_light_and_dark(page):
    """Axe's report in both themes; the page begins and ends in the light one, and the focus stays where it is."""
    found = []
    for other in ("Dark theme", "Light theme"):
        found.append(faults(page))
        page.get_by_role("button", name=other).evaluate("button => button.click()")
    return "".join(found)
