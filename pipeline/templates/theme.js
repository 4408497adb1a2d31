"use strict";
// Before the first paint: the reader's choice, else the system's.
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("augrgb-theme");
  } catch {
    // storage may be off for pages from disk
  }
  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  document.addEventListener("toggletheme", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("augrgb-theme", chosen);
    } catch {
      // then it holds for this visit
    }
    apply();
  });
  apply();
}
