// Runs before the first paint: the reader's last choice of theme, if there is one.
try {
  const chosen = localStorage.getItem("steplens-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* a sandboxed frame has no storage: the system's theme holds */ }
