// Values over the time that the rows tell, a line for each series.

import { element } from './words.js';

const POINTS = 240;
const HEIGHT = 220;
const MARGIN = { top: 8, right: 8, bottom: 24, left: 44 };
const COLORS = 12;
const DAY = 86400;

export class Chart {
  constructor(root) {
    this.root = root;
    this.series = new Map();
    this.hidden = new Set();
    this.plot = root.querySelector('.plot');
    this.legend = root.querySelector('.legend');
    // Drawn in the pixels there are, so that text keeps its size on a phone.
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  forget() {
    this.series.clear();
  }

  add(samples) {
    this.names = samples;
    for (const { series, time, value } of samples.points) {
      const points = this.series.get(series) ?? [];
      points.push({ time, value });
      if (points.length > POINTS) points.shift();
      this.series.set(series, points);
    }
    this.root.hidden = false;
    const by = samples.series ? ` by ${samples.series}` : '';
    this.root.querySelector('h3').textContent = `${samples.value}${by}, over ${samples.time}`;
    this.draw();
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width || !this.names) return;
    const all = [...this.series].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
    const lines = all.map(([name, points], index) => ({ name, points, color: `s${index % COLORS}` }));
    const shown = lines.filter(({ name }) => !this.hidden.has(name));
    this.plot.replaceChildren(this.picture(width, shown));
    this.list(lines);
    this.table(lines);
  }

  picture(width, lines) {
    const points = lines.flatMap((line) => line.points);
    const times = range(points.map((point) => point.time), DAY);
    const values = range(points.map((point) => point.value), 1);
    const x = (time) => MARGIN.left + ((time - times.low) / (times.high - times.low)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => HEIGHT - MARGIN.bottom - ((value - values.low) / (values.high - values.low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    const svg = drawn('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: 'img' });
    svg.setAttribute('aria-label', points.length
      ? `${this.names.value}: ${lines.length} lines from ${date(times.low)} to ${date(times.high)}, between ${round(values.low)} and ${round(values.high)}`
      : 'no line is shown');
    for (const value of ticks(values, 4)) {
      svg.append(drawn('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
      svg.append(drawn('text', { x: MARGIN.left - 6, y: y(value) + 4, 'text-anchor': 'end' }, round(value)));
    }
    const wide = Math.max(2, Math.floor(width / 130));
    for (let step = 0; step <= wide; step += 1) {
      const time = times.low + ((times.high - times.low) * step) / wide;
      const anchor = step === 0 ? 'start' : step === wide ? 'end' : 'middle';
      svg.append(drawn('text', { x: x(time), y: HEIGHT - 6, 'text-anchor': anchor }, label(time, times)));
    }
    for (const { name, points, color } of lines) {
      const path = points.map(({ time, value }, index) => `${index ? 'L' : 'M'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`);
      const dim = this.strong && this.strong !== name ? ' dim' : '';
      const strong = this.strong === name ? ' strong' : '';
      svg.append(drawn('path', { class: color + dim + strong, d: path.join('') }));
    }
    return svg;
  }

  // Buttons that stay, so that the focus does.
  list(lines) {
    const names = lines.map(({ name }) => name).join('\n');
    if (names === this.listed) return;
    this.listed = names;
    this.legend.replaceChildren(...lines.map(({ name, color }) => {
      const button = element('button', { class: color, type: 'button', 'aria-pressed': String(!this.hidden.has(name)) }, name);
      const strong = (is) => () => { this.strong = is; this.draw(); };
      button.onpointerenter = button.onfocus = strong(name);
      button.onpointerleave = button.onblur = strong(undefined);
      button.onclick = () => {
        if (!this.hidden.delete(name)) this.hidden.add(name);
        button.setAttribute('aria-pressed', String(!this.hidden.has(name)));
        this.draw();
      };
      return element('li', {}, button);
    }));
  }

  table(lines) {
    const { series, time, value } = this.names;
    this.root.querySelector('th.series').textContent = series ?? 'line';
    this.root.querySelector('th.time').textContent = time;
    this.root.querySelector('th.value').textContent = value;
    this.root.querySelector('tbody').replaceChildren(...lines.map(({ name, points }) => {
      const last = points.at(-1);
      return element('tr', {}, element('td', {}, name), element('td', {}, date(last.time)), element('td', {}, round(last.value)));
    }));
  }
}

function drawn(name, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The least and the greatest, never the same.
function range(values, least) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low > high) return { low: 0, high: least };
  return low === high ? { low: low - least, high: high + least } : { low, high };
}

// Round numbers within a range, so many of them or some more.
function ticks({ low, high }, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step);
}

const round = (value) => String(Number(value.toPrecision(Math.abs(value) < 1000 ? 3 : 6)));
const iso = (seconds) => {
  const when = new Date(seconds * 1000);
  return Number.isNaN(when.getTime()) ? String(seconds) : when.toISOString();
};
const date = (seconds) => (seconds % DAY ? iso(seconds).slice(0, 19).replace('T', ' ') : iso(seconds).slice(0, 10));
const label = (seconds, { low, high }) => (high - low > 3 * DAY ? iso(seconds).slice(0, 10) : iso(seconds).slice(5, 16).replace('T', ' '));
