"""A sentence of one's own: written on the page, refused in a sentence, read word by word."""

import asyncio

import pytest
from test_session import opened, until
from visiting import primary, wait_for_status

from widgets.playback.playback import Playback
from widgets.run import opening
from widgets.views.secret import Secret

SECRET = "The rabbit hid the keys under the white stone."
REFUSED = {
    "": "The sentence is empty",
    " \n\t": "The sentence is empty",
    "word " * 10_000: "more than the 2,000 allowed",
    "and so on " * 30: "word pieces, more than its length of 64 places",
    "hello \U0001f407": "no piece for",
    "ארנב לבן": "no piece for",
    "\u202eabc": "no piece for",
    "a\x00b": "no piece for",
    "Kaninchenhöhle": "no piece for",
}


@pytest.fixture
def heard(monkeypatch):
    """What the card says to the browser."""
    messages = []
    monkeypatch.setattr(Secret, "send", lambda self, content, buffers=None: messages.append(content))
    return messages


def say(view, **content):
    view._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_what_one_writes_is_refused_in_a_sentence_or_read_word_by_word(heard):
    async def story():
        async with opened(opening.from_link("?network=transformer:width=64")) as session:
            await until(session, "ready")
            view, before = Secret(Playback(session), session), session.wanted
            for text, said in REFUSED.items():
                say(view, type="write", text=text)
                (message,) = [heard.pop() for _ in range(len(heard))]
                assert message["type"] == "refused"
                assert said in message["sentence"]
                assert len(message["sentence"]) < 220
            for nonsense in (None, 3, ["a"], {"a": 1}):
                say(view, type="write", text=nonsense)
            assert (heard, session.wanted) == ([], before)
            say(view, type="write", text=SECRET)
            assert heard == [{"type": "written"}]
            await until(session, "finished")
            frame = session.frames[-1]
            assert bytes(frame.image[0]).decode().rstrip("\0") == SECRET.lower()
            assert [reading["what"] for reading in frame.readings][:2] == ["the", "rabbit"]
            assert max(reading["off"] for reading in frame.readings) < 1e-5
            assert min(reading["other_off"] for reading in frame.readings) > 0.05
            algebra = session.algebra()
            assert algebra["span"]["rank"] == len(frame.readings)
            assert algebra["span"]["width"] == 64

    asyncio.run(story())


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_reads_the_sentence_that_a_reader_writes(visit):
    page = visit(query="?network=transformer")
    wait_for_status(page, "ready")
    page.get_by_role("button", name="Write your own").click()
    page.get_by_label("Your sentence").fill("hello \U0001f407")
    page.get_by_role("button", name="Attack my sentence").click()
    page.get_by_text("no piece for").wait_for()
    page.get_by_label("Your sentence").fill(SECRET)
    page.get_by_role("button", name="Attack my sentence").click()
    page.locator(".lab-writing").wait_for(state="hidden")
    wait_for_status(page, "finished")
    assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")
    readings = page.locator(".lab-readings")
    assert "Read off, place by place" in readings.inner_text()
    assert "rabbit" in readings.locator("svg").text_content()
    assert "the nearest other" in readings.locator("svg").get_attribute("aria-label")
    page.get_by_role("tab", name="Algebra").click()
    assert "directions" in page.locator(".lab-panel").inner_text()
    assert primary(page).is_enabled()
