// A sheet to write a sentence of one's own on, which then is the secret.

function writingOf({ finish, close }) {
  const text = element("textarea", { rows: 4, maxLength: 2000, ariaLabel: "Your sentence", placeholder: "Write a sentence that is to stay secret.",
    onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); finish(text.value); } } });
  const node = element("div", "lab-writing", text,
    soft("Letters a to z, digits and common marks. It stays in this session."),
    element("button", { class: "lab-attack-drawing", onclick: () => finish(text.value) }, "Attack my sentence"),
    small("Close", close));
  return { node, begin: () => text.focus({ preventScroll: true }) };
}
