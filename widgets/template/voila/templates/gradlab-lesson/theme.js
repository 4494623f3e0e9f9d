const lessonTheme = document.querySelector(".lesson-bar button");

function paintLesson(name) {
  document.body.dataset.labTheme = name;
  document.body.dataset.jpThemeLight = String(name !== "dark");
  lessonTheme.setAttribute("aria-label", name === "dark" ? "Light theme" : "Dark theme");
}

paintLesson(localStorage.getItem("gradient-lab-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
lessonTheme.addEventListener("click", () => {
  const name = document.body.dataset.labTheme === "dark" ? "light" : "dark";
  localStorage.setItem("gradient-lab-theme", name);
  document.dispatchEvent(new CustomEvent("lab:theme", { detail: name })); // the views of the lesson listen, too
});
document.addEventListener("lab:theme", (event) => paintLesson(event.detail));
