"""The real page in a real browser: Voila serves it, Chromium shows it, a person's clicks drive it."""

import os
import re
import subprocess
import sys

import numpy as np
import psutil
import pytest
from accessibility import faults, faults_light_and_dark
from PIL import Image
from visiting import (
    ROOT,
    SETTLED,
    counters,
    is_heard,
    keep_picture,
    kernel_id,
    kernel_process,
    primary,
    wait_for_frames,
    wait_for_iteration,
    wait_for_status,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_recording_plays_without_a_click(visit):
    page = visit()
    assert "Recorded run" in page.locator(".lab-server").inner_text()
    page.locator('.lab-server[data-iteration="4"]').wait_for()
    assert counters(page)["points"] > 30
    assert "What do you see?" in page.locator(".lab-guess").inner_text()
    is_heard(page)
    assert page.locator(".lab-cover").is_visible(), "it waits for an answer"
    page.get_by_role("button", name="Suspect 3", exact=True).click()
    page.locator('.lab-server[data-iteration="200"]').wait_for()
    page.locator(".lab-guess[data-ordered]").wait_for()
    assert "the line-up knew it at guess 4" in page.locator(".lab-guess").inner_text()


def test_one_click_rebuilds_the_picture(page):
    primary(page).click()
    wait_for_frames(page, 3)
    early = counters(page)
    wait_for_frames(page, early["frames"] + 5)
    later = counters(page)
    assert later["points"] > early["points"]
    assert later["drawn"] > early["drawn"]
    assert later["iteration"] > early["iteration"]
    wait_for_status(page, "finished")
    assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")
    assert "1st of 8" in page.locator(".lab-verdict").inner_text()
    assert re.search(r"iterations/s.*s of attack", page.locator(".lab-transport .lab-badge").inner_text(), re.DOTALL)
    keep_picture(page, "page-light")


def test_nothing_gives_the_secret_away_before_the_run_is_over(visit):
    """To a screen reader neither; whoever asks for less motion is shown no recording, which would end in the secret."""
    page = visit(reduced_motion="reduce")
    wait_for_status(page, "ready")
    told = page.evaluate("() => document.querySelector('.lab-thumb input[data-chosen=true]').ariaLabel")
    assert page.locator(".lab-cover").is_visible()
    spoken = page.locator(".lab").aria_snapshot()
    assert "The private picture, hidden" not in spoken, "a canvas that is not shown is not spoken of"
    assert "[checked]" not in "".join(line for line in spoken.splitlines() if told in line)
    assert told.lower() not in (page.title() + page.url).lower()
    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_status(page, "finished")
    page.locator(".lab-client canvas").wait_for()
    assert "numbers were enough: recognisable after" in page.locator(".lab-ending").inner_text()
    assert page.get_by_role("radio", name=told).is_checked()
    page.get_by_role("button", name="Hide it", exact=True).click()
    assert page.locator(".lab-cover").is_visible()
    assert not page.get_by_role("radio", name=told).is_checked()
    page.get_by_role("radio", name="Coffee cup").check(force=True)
    page.locator(".lab-cover").wait_for(state="hidden")


def test_what_a_click_comes_to_is_said_before_it_where_the_secret_does_not_come_back(page):
    weights = page.locator('[data-control="trained"]')
    weights.get_by_text("taking shape").wait_for()
    described = weights.get_by_role("radio", name="trained", exact=True).get_attribute("aria-description")
    assert re.fullmatch(r"about .* s of computing; on the default picture: Taking shape, .* dB, 1/8 in the line-up", described)


def test_a_button_shows_the_choices_that_are_not_in_sight(page):
    losses = page.locator('[data-control="distance"]')
    hidden = losses.get_by_text("balanced Euclidean")
    assert not hidden.is_visible()
    losses.get_by_role("button", name="more").click()
    assert hidden.is_visible()
    losses.get_by_role("radio", name="balanced Euclidean").check()
    page.wait_for_function("() => location.search.includes('balanced_euclidean')")
    losses.get_by_role("button", name="fewer").click()
    assert hidden.is_visible(), "what is chosen stays in sight"
    assert not losses.get_by_text("soft signs").is_visible()
    page.get_by_role("button", name="Undo", exact=True).click()


def gaps(page):
    """What the loop says of each layer, from top to bottom."""
    return page.locator(".lab-loop b").all_inner_texts()


SHADES = """
(canvases) => canvases.map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, place) => place % 4 === 3);
})
"""


def test_the_loop_shows_what_the_guess_would_send_and_the_gap_closes(page):
    assert gaps(page) == [""] * 4
    assert page.locator(".lab-loop .lab-guess-strip:visible").count() == 0
    primary(page).click()
    page.wait_for_function("() => +document.querySelector('.lab-sent').dataset.looked > 0")
    early = [float(text) for text in gaps(page)]
    assert page.locator(".lab-downhill").is_visible()
    wait_for_status(page, "finished")
    page.wait_for_function("() => +document.querySelector('.lab-sent').dataset.looked === 200")
    late = page.evaluate("() => [...document.querySelectorAll('.lab-gap')].map((gap) => gap.getBoundingClientRect().height)")
    assert max(early) > 0.1
    assert max(late) <= 1
    for name in ("conv 1", "fc 1"):
        layer = page.get_by_role("button", name=name, exact=True)
        layer.click()
        assert layer.get_attribute("aria-expanded") == "true"
        assert page.locator(".lab-sheets").inner_text().startswith(f"{name} at iteration 200")
        sent, guess = page.locator(".lab-sheets canvas").evaluate_all(SHADES)
        assert max(abs(shade - 128) for shade in sent) > 120, "the largest is dark or pale"
        assert max(abs(one - other) for one, other in zip(sent, guess, strict=True)) < 60, "the numbers agree by now"
    layer.click()
    assert page.locator(".lab-sheets").is_hidden()
    numbers = page.get_by_role("button", name="Show numbers")
    numbers.click()
    assert len(page.locator(".lab-wall").inner_text().split()) == 400
    page.get_by_role("button", name="Hide numbers").click()


def test_a_click_before_the_engine_is_ready_is_kept(visit):
    page = visit()
    primary(page).click()
    wait_for_frames(page, 2)


def test_pause_stops_and_resume_goes_on(page):
    """One frame may be on its way; that not a single step follows is shown of the session, where it can be counted."""
    primary(page).click()
    wait_for_frames(page, SETTLED)
    page.get_by_role("button", name="Pause", exact=True).click()
    wait_for_status(page, "paused")
    held = counters(page)["frames"]
    for _ in range(20):
        is_heard(page)
    assert counters(page)["frames"] <= held + 1
    page.get_by_role("button", name="Resume").click()
    wait_for_frames(page, held + 3)


def test_step_does_so_many_iterations_and_pauses(page):
    page.get_by_role("button", name="Step 10", exact=True).click()
    wait_for_frames(page, 1)
    wait_for_status(page, "paused")
    wait_for_iteration(page, 9)
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function("document.querySelector('.lab-server').dataset.frames === '0'")


def test_twenty_rapid_clicks_leave_one_worker(page):
    primary(page).click()
    wait_for_frames(page, 2)
    process = kernel_process(page)
    threads = process.num_threads()
    page.evaluate("for (let i = 0; i < 20; i++) document.querySelector('button.lab-primary').click()")
    is_heard(page)
    if page.locator(".lab-transport").get_attribute("data-status") == "paused":
        primary(page).click()
    wait_for_status(page, "finished")
    assert process.num_threads() <= threads
    assert counters(page)["iteration"] == 200


def test_the_replay_outlives_the_kernel(visit, browser):
    page = visit()
    wait_for_status(page, "ready")
    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_status(page, "finished")
    held = counters(page)
    assert held["frames"] > 2
    process = kernel_process(page)
    closed = page.request.post(f"{page.url}voila/api/shutdown/{kernel_id(page)}")
    assert closed.status == 204
    psutil.wait_procs([process])
    page.locator(".lab-transport .lab-scrub").evaluate("node => { node.value = 0; node.dispatchEvent(new Event('input')) }")
    assert counters(page)["iteration"] < held["iteration"]
    page.get_by_role("button", name="Replay", exact=True).click()
    wait_for_iteration(page, held["iteration"])
    page.get_by_role("tab", name="Difference").click()
    assert "off by" in page.get_by_role("tabpanel").inner_text()


def test_an_edit_changes_what_is_sent_and_a_bad_one_says_why(page):
    sent = page.locator(".lab-count")
    before = sent.inner_text()
    page.get_by_role("radio", name="LeNet").check()
    page.wait_for_function("before => document.querySelector('.lab-count').textContent !== before", arg=before)
    assert "15,826 numbers" in sent.inner_text()
    seed = page.locator('[data-control="seed"] input')
    seed.fill("-4")
    seed.press("Enter")
    error = page.locator('.lab-error[data-path="seed"]')
    error.filter(has_text="out of range").wait_for()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.wait_for_function("before => document.querySelector('.lab-count').textContent === before", arg=before)


CROP_IS_SHOWN = """
() => {
  const pixels = (name) => document.querySelector(name)?.getContext("2d").getImageData(0, 0, 32, 32).data.join();
  return pixels(".lab-mine") === pixels(".lab-client canvas.lab-picture") && !document.querySelector(".lab-mine").hidden;
}
"""


def test_a_bad_upload_is_answered_by_a_sentence_and_a_good_one_is_used(page, tmp_path):
    (tmp_path / "notes.png").write_text("this is no picture")
    page.get_by_label("Your own picture").set_input_files(tmp_path / "notes.png")
    error = page.locator('.lab-error[data-path="picture"]')
    error.filter(has_text=re.compile(r"\w+ .+\.")).wait_for()
    assert "Traceback" not in error.inner_text()
    picture = ROOT / "lab" / "client" / "datasets" / "pictures" / "224" / "owl.jpg"
    page.get_by_label("Your own picture").set_input_files(picture)
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('inline')")
    assert error.inner_text() == ""
    page.wait_for_function(CROP_IS_SHOWN)
    page.locator(".lab-client").get_by_role("button", name="Hide it", exact=True).click()
    page.locator(".lab-mine").wait_for(state="hidden")
    page.locator(".lab-client").get_by_role("button", name="Reveal it").click()
    page.locator(".lab-mine").wait_for()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.locator(".lab-mine").wait_for(state="hidden")
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('astronaut')")


def test_a_deep_grey_picture_keeps_its_depth_on_the_way_and_the_page_says_what_was_made_of_it(page, tmp_path):
    """A browser would keep 8 of its 16 bits, of which the upper ones are nearly empty."""
    Image.fromarray(np.linspace(16, 2992, 64 * 64).reshape(64, 64).astype(np.uint16)).save(tmp_path / "deep.png")
    page.get_by_label("Your own picture").set_input_files(tmp_path / "deep.png")
    page.locator(".lab-client .lab-notes").filter(has_text="so that 16 is black and 2992 is white.").wait_for()
    assert "pixels in grey" in page.locator(".lab-client").inner_text()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('astronaut')")
    assert page.locator(".lab-client .lab-notes").is_hidden()
    assert "pixels in colour" in page.locator(".lab-client").inner_text()


def test_the_page_offers_no_file_that_is_refused(page):
    offered = page.get_by_label("Your own picture").get_attribute("accept").split(",")
    assert "image/*" not in offered
    assert {f"image/{kind}" for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff")} <= set(offered)
    assert not [kind for kind in offered if "svg" in kind or "hei" in kind]


def test_forty_megabytes_are_made_small_in_the_browser_or_refused_by_a_sentence(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3700, 3700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=0)
    (tmp_path / "film.png").write_bytes(bytes(40_000_000))
    assert (tmp_path / "noise.png").stat().st_size > 40_000_000
    page.get_by_label("Your own picture").set_input_files(tmp_path / "film.png")
    error = page.locator('.lab-error[data-path="picture"]')
    error.filter(has_text="film.png is larger than 8 MB and not a picture that this browser can read").wait_for()
    page.get_by_label("Your own picture").set_input_files(tmp_path / "noise.png")
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('inline')")
    assert error.inner_text() == ""
    page.get_by_role("button", name="Undo", exact=True).click()
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('astronaut')")


def open_advanced(page):
    """The fold remembers how the page was left."""
    if page.locator(".lab-advanced").get_attribute("open") is None:
        page.get_by_text("Advanced", exact=True).click()


def test_a_defence_is_attacked_as_soon_as_it_is_chosen(page):
    """The form: which defence, how strong, and an attack after each change without another click."""
    open_advanced(page)
    page.get_by_role("button", name="As fast as it goes").click()
    assert page.get_by_role("checkbox", name="Attack after each change").is_checked()
    page.get_by_role("radio", name="gaussian noise").check()
    page.locator('[data-control="defences.0.strength"]').get_by_role("radio", name="10", exact=True).check()
    page.wait_for_function("location.search.includes('gaussian_noise') && location.search.includes('10')")
    wait_for_status(page, "running")
    wait_for_status(page, "finished")
    verdict = page.locator(".lab-server .lab-verdict b").inner_text()
    assert verdict != "Recognisable"
    assert page.locator(".lab-ending").inner_text().startswith(f"{verdict}:"), "one verdict, wherever it stands"
    keep_picture(page, "page-defence")
    assert faults_light_and_dark(page) == ""
    page.get_by_role("radio", name="none", exact=True).check()
    page.wait_for_function("!location.search.includes('defence')")
    wait_for_status(page, "running")
    wait_for_status(page, "finished")
    assert page.locator(".lab-server .lab-verdict").inner_text().startswith("Recognisable")


def test_the_algebra_shows_the_picture_of_a_fully_connected_network(page):
    page.get_by_role("button", name="Do it with algebra").click()
    panel = page.get_by_role("tabpanel")
    panel.get_by_text("Read off exactly").wait_for()
    panel.get_by_role("img", name="The recovered input").wait_for()
    assert panel.get_by_role("img").count() == 2
    row = panel.get_by_role("slider")
    before = panel.locator("output").inner_text()
    row.focus()
    row.press("ArrowLeft" if before.startswith("row i = 255") else "ArrowRight")
    page.wait_for_function("before => document.querySelector('.lab-sliding output').textContent !== before", arg=before)
    keep_picture(page, "page-algebra")
    page.get_by_role("button", name="Undo", exact=True).click()


def test_without_a_guess_the_layers_come_off_in_the_storys_own_cards(visit):
    page = visit(reduced_motion="reduce")
    wait_for_status(page, "ready")
    assert page.locator(".lab-cover").is_visible()
    guess, algebra = (page.get_by_role("button", name=name, exact=True) for name in ("guess", "algebra"))
    algebra.click()
    page.get_by_role("img", name="What the algebra gives").wait_for()
    assert page.locator(".lab-sent .lab-peeled b").evaluate_all("all => all.map((each) => each.firstChild.data)") == [
        "fc 1 off", "conv 3 off", "conv 2 off", "conv 1 off",
    ]  # fmt: skip
    top, bottom, value = (
        float(text.replace("−", "-")) for text in page.locator(".lab-sent .lab-quotient mn").all_text_contents()
    )
    assert top / bottom == pytest.approx(value, abs=1e-3)
    (guesses, by_guessing), (none, by_algebra) = (text.splitlines() for text in page.locator(".lab-ways div").all_inner_texts())
    assert (guesses, none) == ("200 guesses", "0 guesses")
    assert float(by_algebra.split()[0]) >= 100 > float(by_guessing.split()[0])
    assert page.locator(".lab-client canvas").is_visible(), "the picture that is left gives the secret away"
    assert faults_light_and_dark(page) == ""
    keep_picture(page, "page-peeled")
    guess.click()
    assert page.get_by_role("img", name="Reconstruction, iteration", exact=False).is_visible()
    assert page.locator(".lab-loop").is_visible()
    algebra.click()
    primary(page).click()
    wait_for_status(page, "running", "finished")
    assert guess.get_attribute("aria-pressed") == "true", "a run that begins is one of guesses"


def test_the_algebra_keeps_going_down_to_the_picture(page):
    page.get_by_role("tab", name="Algebra").click()
    button = page.get_by_role("button", name="Undo the layers below")
    button.focus()
    button.press("Enter")
    section = page.get_by_role("region", name="Keep going down")
    section.get_by_role("status").filter(has_text="Read off layer by layer").wait_for()
    assert section.locator("li").count() == 4
    assert "38,806 equations" in section.inner_text()
    section.get_by_role("button", name="What does conv 2 mean?").click()
    assert "Solved together with conv 1." in section.get_by_role("note").inner_text()
    page.keyboard.press("Escape")
    assert faults(page) == ""
    keep_picture(page, "page-descent")
    page.get_by_role("radio", name="MLP").check()
    section.wait_for(state="detached")
    page.get_by_role("button", name="Undo", exact=True).click()


def test_the_attack_by_algebra_alone_is_shown_like_any_other(page):
    open_advanced(page)
    page.get_by_role("radio", name="recursive").check()
    page.wait_for_function("!document.querySelector('[data-control=distance]')")
    wait_for_status(page, "running")
    wait_for_status(page, "finished")
    assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")
    message = page.locator(".lab-message").inner_text()
    assert "Read off layer by layer" in message
    assert "own gradient differs from the shared one by" in message
    assert counters(page)["frames"] > 2
    keep_picture(page, "page-recursive")
    page.get_by_role("button", name="Undo", exact=True).click()


def test_guessing_first_hides_the_secret_until_it_is_found(page):
    page.get_by_role("button", name="New secret").click()
    page.wait_for_function("() => location.search.includes('gallery')")
    secret = page.locator(".lab-client canvas")
    assert secret.get_attribute("aria-label") == "The private picture, hidden."
    wait_for_status(page, "ready")
    suspects = page.locator(".lab-suspects button")
    assert [each.get_attribute("aria-label") for each in suspects.all()] == [f"Suspect {place}" for place in range(1, 9)]
    primary(page).click()
    wait_for_frames(page, 2)
    suspects.nth(4).click()
    answer = page.locator(".lab-guess [role=status]")
    assert answer.inner_text().startswith("You chose at guess")
    assert page.locator('.lab-suspects [data-answer="secret"]').count() == 0
    wait_for_status(page, "finished")
    page.locator(".lab-guess[data-ordered]").wait_for()
    likeness = [int(text.split()[0]) for text in page.locator(".lab-likeness").all_inner_texts()]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[0] > 75 > likeness[1]
    assert suspects.first.get_attribute("data-answer") == "secret"
    assert "hidden" not in secret.get_attribute("aria-label")
    assert re.match("You (knew it|chose another)", answer.inner_text())
    keep_picture(page, "page-guess")
    page.get_by_role("button", name="Undo", exact=True).click()


def test_the_story_works_by_keyboard_alone(page):
    page.locator(".lab h1").click()
    for _ in range(20):  # past the cards' buttons and the eight suspects
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('lab-primary')"):
            break
    assert page.evaluate("document.activeElement.classList.contains('lab-primary')")
    page.keyboard.press("Enter")
    page.evaluate("document.activeElement.blur()")
    wait_for_frames(page, SETTLED)
    page.keyboard.press(" ")
    wait_for_status(page, "paused")
    shown = counters(page)["iteration"]
    for _ in range(2):  # one more frame may have come
        page.keyboard.press("ArrowLeft")
    assert counters(page)["iteration"] < shown


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1366, 850), (2560, 1300)])
def test_no_word_of_the_curve_is_cut_off(visit, width, height):
    """Of a run that has gone down several decades."""
    page = visit(width, height)
    primary(page).click()
    wait_for_status(page, "finished")
    cut = page.evaluate("""() => {
      const svg = document.querySelector('.lab-curve svg'), box = svg.getBoundingClientRect();
      const out = ({ left, right }) => left < box.left || right > box.right;
      const words = [...svg.querySelectorAll('text')];
      return words.filter((word) => out(word.getBoundingClientRect())).map((word) => word.textContent);
    }""")
    assert cut == []


def test_a_phone_needs_no_sideways_scroll(visit):
    page = visit(390, 844, has_touch=True)
    wait_for_status(page, "ready")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_text("Change the experiment").click()
    for control in page.locator(".lab-rail .lab-control:visible").all():
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    keep_picture(page, "page-phone-light")
    page.get_by_role("button", name="Dark theme").click()
    keep_picture(page, "page-phone-dark")


def test_whoever_asks_for_less_motion_sees_a_still(visit):
    page = visit(reduced_motion="reduce")
    assert counters(page)["iteration"] == 4, "where one could just about tell; it ends with whoever asks"
    assert page.get_by_role("button", name="Replay", exact=True).is_enabled()


def test_the_server_hands_out_no_files_and_runs_no_code(page, address):
    for path in ("voila/files/00-meet-the-lab.ipynb", "voila/files/.ipython", "api/contents"):
        assert page.request.get(address + path).status in (403, 404)
    assert page.request.post(address + "api/kernels").status in (403, 404, 405)


def test_closing_the_tab_ends_the_kernel(visit):
    page = visit()
    process = kernel_process(page)
    page.goto("about:blank")
    psutil.wait_procs([process])


def test_axe_finds_nothing(visit):
    page = visit(reduced_motion="reduce")
    wait_for_status(page, "ready")
    open_advanced(page)
    page.get_by_text("When attacks fail: causes and cures").click()
    page.get_by_text("For a lesson: hide controls").click()
    page.get_by_role("button", name="Side by side").click()
    page.locator(".lab-suspects button").nth(7).wait_for()
    for theme in ("Dark theme", "Light theme"):
        for tab in ("Difference", "Per-layer match", "Numbers", "History", "Algebra"):
            page.get_by_role("tab", name=tab).click()
            assert faults(page) == ""
        page.get_by_role("button", name=theme).click()


def test_the_page_needs_nothing_that_its_policy_forbids(visit):
    """As every reader has it; other tests evaluate scripts of their own in the page, and so go around the policy."""
    page = visit(bypass_csp=False)
    wait_for_status(page, "ready")
    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_status(page, "finished")
    page.get_by_role("tab", name="Numbers").click()
    page.get_by_role("button", name="QR code").click()
    page.locator("dialog[open] svg, dialog[open] canvas").first.wait_for()


def test_a_port_in_use_is_one_sentence(address):
    port = address.rstrip("/").rpartition(":")[2]
    command = [sys.executable, "-m", "widgets.serving", "--port", port, "--no-browser"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert answer.returncode == 2
    assert answer.stderr == f"Port {port} is already in use; choose another one with --port.\n"
