// Light, dark, or as the system has it: kept for the next time, and set before anything is drawn.

const KEY = "lbm-theme";
const THEMES = ["auto", "light", "dark"];

export function readTheme() {
  try {
    const kept = localStorage.getItem(KEY);
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto"; // storage is off
  }
}

export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // then it holds for this visit
  }
  return theme;
}

export function nextTheme(theme) {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
}
