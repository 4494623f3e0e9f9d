const slides = [...document.querySelectorAll(".deck > section")];
const place = document.querySelector("nav output");
let now = Math.max(0, Math.min(slides.length - 1, Number(location.hash.slice(1)) - 1 || 0));

function show(number) {
  now = Math.max(0, Math.min(slides.length - 1, number));
  slides.forEach((slide, index) => slide.classList.toggle("now", index === now));
  place.textContent = `${now + 1} of ${slides.length}`;
  history.replaceState(null, "", `#${now + 1}`);
}

const turns = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLButtonElement && event.key === " ") return;
  if (event.key === "Home" || event.key === "End") show(event.key === "Home" ? 0 : slides.length - 1);
  else if (turns[event.key]) show(now + turns[event.key]);
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-turn]")) button.addEventListener("click", () => show(now + Number(button.dataset.turn)));
show(now);
