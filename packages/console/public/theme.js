// Runs before the first paint, so that a chosen theme does not flash in the other one. A file of its own because
// the page's policy allows no inline script.
try {
  const theme = localStorage.getItem('skein.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system's theme applies.
}
