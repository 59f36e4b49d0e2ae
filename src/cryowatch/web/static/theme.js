// Light, dark, or as the system says; remembered in this browser. Paper is light.

import { zone } from "./format.js";

const CHOICES = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
const NAMES = { auto: "automatic", light: "light", dark: "dark" };
const system = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
let choice = remembered();
let printing = false;

function remembered() {
  try {
    const kept = localStorage.getItem("theme");
    return CHOICES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

function apply() {
  const dark = !printing && (choice === "dark" || (choice === "auto" && system.matches));
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.classList.toggle("printing", printing);
  button.textContent = SIGNS[choice];
  button.title = `Colours: ${NAMES[choice]}`;
  button.setAttribute("aria-label", button.title);
  document.dispatchEvent(new CustomEvent("themechange"));
}

button.addEventListener("click", () => {
  choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
  try {
    localStorage.setItem("theme", choice);
  } catch {
    // A browser that keeps nothing still shows the choice on this page.
  }
  apply();
});
system.addEventListener("change", apply);
for (const [event, begins] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => {
    printing = begins;
    apply();
  });
}
document.getElementById("zone").textContent = `Times in ${zone()}`;
apply();
