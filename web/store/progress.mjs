// How far something is, and how fast: told a few times a second.

const INTERVAL_MS = 100;
const WINDOW_MS = 3000;

// A function (phase, done, total) that calls `tell` with { phase, done, total, bytesPerSecond } and
// with what is in `more`. `end` of it tells what was held back.
export function createProgress(tell, more = {}, now = () => performance.now()) {
  if (!tell) return Object.assign(() => {}, { end: () => {} });
  let last = null; // { phase, done, total }
  let told = -Infinity;
  let isTold = true;
  let samples = []; // [ms, done] of the last seconds
  const send = (time) => {
    const [first, newest] = [samples[0], samples.at(-1)];
    const ms = newest[0] - first[0];
    const bytesPerSecond = ms > 0 ? Math.round(((newest[1] - first[1]) * 1000) / ms) : null;
    told = time;
    isTold = true;
    tell({ ...more, ...last, bytesPerSecond });
  };
  const progress = (phase, done, total = null) => {
    const time = now();
    const isNew = last?.phase !== phase;
    if (isNew) {
      progress.end(); // how far the phase before came
      samples = [[time, done]];
    }
    samples.push([time, done]);
    while (samples.length > 2 && samples[0][0] < time - WINDOW_MS) samples.shift();
    last = { phase, done, total };
    isTold = false;
    if (isNew || time - told >= INTERVAL_MS) send(time);
  };
  progress.end = () => {
    if (!isTold) send(now());
  };
  return progress;
}
