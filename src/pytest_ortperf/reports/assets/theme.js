/* Light, dark, or as the system is. */

function startTheme() {
  const button = byId("theme");
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    theme = localStorage.getItem("ortperf-theme") || "auto";
  } catch {
    /* no storage for this page */
  }
  const use = (name) => {
    theme = themes.includes(name) ? name : "auto";
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    try {
      localStorage.setItem("ortperf-theme", theme);
    } catch {
      /* not kept */
    }
  };
  button.hidden = false;
  button.addEventListener("click", () => use(themes[(themes.indexOf(theme) + 1) % themes.length]));
  use(theme);
}
