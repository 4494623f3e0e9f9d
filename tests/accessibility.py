"""Axe on the page that a person sees: when everything that fades or slides has come to rest."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

AT_REST = "() => document.getAnimations().every(animation => animation.playState !== 'running')"


def faults(page):
    """Axe's report of what it finds wrong, or nothing. Half-faded text has too little contrast: wait for it."""
    page.wait_for_function(AT_REST)
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""
