// How far something is, how fast it goes and how long it may take; and quantities as people read them.

const WINDOW_MS = 4000;

// The next state of a progress: { phase, done, total, bytesPerSecond, secondsLeft, samples }.
export function advance(before, { phase, done, total, bytesPerSecond }, now) {
  const same = before !== null && before.phase === phase && done >= before.done;
  const samples = [...(same ? before.samples : []), { at: now, done }].filter(({ at }) => now - at <= WINDOW_MS);
  const span = (now - samples[0].at) / 1000;
  const rate = bytesPerSecond ?? (span >= 0.25 ? (done - samples[0].done) / span : null);
  const left = rate > 0 && total > 0 ? Math.max(0, (total - done) / rate) : null;
  return { phase, done, total, bytesPerSecond: rate, secondsLeft: left, samples };
}

export function formatBytes(n) {
  if (!Number.isFinite(n)) return "unknown size";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = n;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; ++unit) value /= 1000;
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(value >= 9.95 ? 3 : 2)} ${units[unit]}`;
}

export function formatSeconds(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function formatRate(perSecond, unit) {
  const digits = perSecond >= 100 ? 0 : perSecond >= 10 ? 1 : 2;
  return `${perSecond.toFixed(digits)} ${unit}`;
}

export function formatProgress({ done, total, bytesPerSecond, secondsLeft }) {
  const parts = [total > 0 ? `${formatBytes(done)} of ${formatBytes(total)}` : formatBytes(done)];
  if (bytesPerSecond > 0) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (secondsLeft !== null && done < total) parts.push(`${formatSeconds(Math.ceil(secondsLeft))} left`);
  return parts.join(", ");
}
