// One flow: its graph with what moves on the edges, and what is known of it.

import { Chart } from './chart.js';
import { ago, bytes, counted, element, length, number, time } from './words.js';

const COMMITS = 5;
const TROUBLES = 4;
const PARTITIONS = 16;

export const STATES = {
  starting: 'starting',
  running: 'running',
  trying_again: 'trying again',
  stopping: 'stopping',
  stopped: 'stopped',
  done: 'done',
  failed: 'failed',
};

export class Flow {
  constructor({ name, graph }, number) {
    this.root = document.getElementById('flow-template').content.firstElementChild.cloneNode(true);
    const heading = this.find('h2');
    heading.textContent = name;
    heading.id = `flow-${number}`;
    this.root.setAttribute('aria-labelledby', heading.id);
    this.chart = new Chart(this.find('.chart'));
    this.draw(name, graph);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  draw(name, { nodes, edges }) {
    this.nodes = nodes.map(({ name, summary }) => {
      const [slot, kind] = name.split('.');
      const node = element('li', { class: 'node' },
        element('span', { class: 'slot' }, slot), element('span', { class: 'name' }, kind ?? ''),
        element('p', { class: 'about' }, summary), element('p', { class: 'passed' }));
      node.stage = name;
      return node;
    });
    this.edges = edges.map(() => {
      const edge = element('li', { class: 'edge' });
      edge.rate = element('span', {}, '0');
      edge.append(edge.rate, element('span', { class: 'wire', 'aria-hidden': 'true' }), element('span', { class: 'unit' }, 'rows/s'));
      return edge;
    });
    const graph = this.find('.graph');
    graph.setAttribute('aria-label', `Stages of ${name}, and the rows between them`);
    this.nodes.forEach((node, index) => graph.append(node, ...this.edges.slice(index, index + 1)));
    this.find('.columns dl').append(...edges.flatMap(({ from, to, columns }) => [
      element('dt', {}, `${nodes[from].name} to ${nodes[to].name}`), element('dd', {}, columns)]));
  }

  // What was seen of values will be told again.
  forget() {
    this.chart.forget();
  }

  update(flow, { at, uptime }, samples) {
    // By the clock that nobody sets; another run begins its own.
    const seconds = this.before ? uptime - this.before.uptime : 0;
    this.showState(flow, at);
    this.showGraph(flow, seconds);
    this.showCommits(flow);
    this.showLag(flow);
    this.showInside(flow);
    this.showTroubles(flow);
    if (samples) this.chart.add(samples);
    this.before = { uptime, passed: flow.passed };
  }

  showState(flow, at) {
    const pill = this.find('.state');
    pill.dataset.state = flow.state;
    pill.textContent = STATES[flow.state];
    const behind = Object.values(flow.lag).reduce((sum, rows) => sum + rows, 0);
    const last = flow.commits.at(-1);
    const words = [`${counted(flow.committed.written, 'row')} committed`];
    if (last) words.push(`version ${last.version} ${ago((at - last.at) / 1000)}`);
    if (flow.state === 'trying_again') words.push('begins again from its last commit');
    if (flow.state === 'running' && Object.keys(flow.lag).length) words.push(behind ? `${number(behind)} behind` : 'caught up');
    this.find('.words').textContent = words.join(', ');
  }

  showGraph(flow, seconds) {
    flow.passed.forEach(({ rows, bytes: held }, index) => {
      this.nodes[index].querySelector('.passed').textContent = `${counted(rows, 'row')}, ${bytes(held)}`;
      const edge = this.edges[index];
      if (!edge) return;
      if (seconds <= 0) {
        edge.smooth = undefined;
        return;
      }
      const latest = Math.max(0, rows - this.before.passed[index].rows) / seconds;
      // Smoothed over a few seconds, so that it can be read.
      edge.smooth = latest + ((edge.smooth ?? latest) - latest) * Math.exp(-seconds / 3);
      const rate = flow.state === 'running' || flow.state === 'stopping' ? edge.smooth : 0;
      edge.rate.textContent = number(Math.round(rate));
      edge.classList.toggle('moving', rate >= 0.5);
    });
    const { error } = flow;
    for (const node of this.nodes) {
      const failed = Boolean(error) && node.stage === error.stage;
      node.classList.toggle('failed', failed);
      const there = node.querySelector('.error');
      if (!failed) there?.remove();
      else if (there?.textContent !== error.reason) {
        there?.remove();
        node.append(element('p', { class: 'error' }, error.reason));
      }
    }
    const whole = this.find('.flow-error');
    const ofTheFlow = error && !this.nodes.some((node) => node.stage === error.stage);
    whole.hidden = !ofTheFlow;
    whole.textContent = ofTheFlow ? error.reason : '';
  }

  showCommits({ commits, commit_duration: { count, sum }, committed }) {
    const root = this.find('.commits');
    root.querySelector('.note').textContent = count
      ? `${counted(count, 'commit')}, ${length(sum / count)} each, ${number(committed.written / count)} rows`
      : 'None in this run yet.';
    root.querySelector('table').hidden = !count;
    const newest = commits.at(-1)?.version;
    if (newest === this.newest) return;
    const body = root.querySelector('tbody');
    body.replaceChildren(...commits.slice(-COMMITS).reverse().map(({ version, tally, took, at }) => element('tr',
      { class: this.newest === undefined || version <= this.newest ? '' : 'new' },
      element('td', {}, String(version)), element('td', {}, number(tally.written)),
      element('td', {}, length(took)), element('td', {}, time(at)))));
    this.newest = newest;
  }

  showLag({ lag }) {
    const root = this.find('.lag');
    const all = Object.entries(lag).sort(([, a], [, b]) => b - a);
    const shown = all.slice(0, PARTITIONS).sort(([a], [b]) => a - b);
    const most = all[0]?.[1] ?? 0;
    const more = all.length > PARTITIONS ? `, and ${all.length - PARTITIONS} partitions with fewer` : '';
    root.querySelector('.note').textContent = all.length
      ? most ? `${counted(all.reduce((sum, [, rows]) => sum + rows, 0), 'row')} not read yet${more}` : 'Nothing: all is read.'
      : 'This source cannot tell.';
    const table = root.querySelector('table');
    table.hidden = !all.length;
    const body = table.querySelector('tbody');
    const partitions = shown.map(([partition]) => partition).join();
    if (partitions !== this.partitions) {
      this.partitions = partitions;
      body.replaceChildren(...shown.map(([partition]) => element('tr', {}, element('td', {}, partition), element('td'),
        element('td', {}, element('span', { class: 'bar', 'aria-hidden': 'true' }, element('i'))))));
    }
    shown.forEach(([, rows], index) => {
      const row = body.children[index];
      row.children[1].textContent = number(rows);
      row.querySelector('i').style.width = `${most ? (rows / most) * 100 : 0}%`;
    });
  }

  showInside(flow) {
    const root = this.find('.inside');
    const { memory_used: used, memory_limit: limit, epoch_age: age, committed } = flow;
    const fill = (name, text) => { root.querySelector(name).textContent = text; };
    fill('.memory', `${bytes(used)} of ${bytes(limit)}`);
    root.querySelector('.bar i').style.width = `${Math.min(100, (used / limit) * 100)}%`;
    fill('.epochs', flow.epochs_in_flight ? `${flow.epochs_in_flight}, oldest ${length(age)}` : 'none');
    fill('.restarts', number(flow.restarts));
    const out = [['filtered', committed.filtered], ['skipped', committed.skipped], ['dead letters', committed.dead_letters]]
      .filter(([, rows]) => rows).map(([what, rows]) => `${number(rows)} ${what}`);
    fill('.left-out', out.join(', ') || 'nothing');
  }

  showTroubles({ troubles }) {
    const root = this.find('.troubles');
    root.querySelector('.note').textContent = troubles.length ? '' : 'None.';
    const newest = troubles.at(-1)?.at;
    if (newest === this.troubled) return;
    this.troubled = newest;
    root.querySelector('ol').replaceChildren(...troubles.slice(-TROUBLES).reverse().map(({ at, stage, reason }) => element('li', {},
      element('span', { class: 'when' }, `${time(at)} ${stage ?? ''}`), element('p', { class: 'error' }, reason))));
  }
}
