// The live page: listens to the run, shows it, and says so when it hears nothing.

import { Flow, STATES } from './flow.js';
import { counted, length } from './words.js';

// Without a word for so long, what is shown is old: milliseconds.
const SILENT = 5000;
// Pause before a run that has ended, or has no place for more pages, is asked again: milliseconds.
const AGAIN = 5000;

// What a flow does while the run goes on.
const RUNS = ['starting', 'running', 'trying_again', 'stopping'];

const flows = new Map();
const began = Date.now();
let heard;
let over = false;
let opened;

function listen() {
  const source = new EventSource('events');
  const again = () => {
    source.close();
    setTimeout(listen, AGAIN);
  };
  source.onopen = () => flows.forEach((flow) => flow.forget());
  source.onmessage = ({ data }) => {
    const look = JSON.parse(data);
    heard = Date.now();
    ({ over } = look);
    if (over) look.status.flows.filter(({ state }) => RUNS.includes(state)).forEach((flow) => { flow.state = 'stopped'; });
    show(look);
    if (over) again();
  };
  source.onerror = () => {
    connection();
    // Otherwise the browser tries again by itself.
    if (source.readyState === EventSource.CLOSED) again();
  };
}

function show({ status, samples }) {
  const known = [...flows].map(([name, { graph }]) => name + graph).join();
  const told = status.flows.map(({ name, graph }) => name + JSON.stringify(graph)).join();
  if (known !== told) build(status);
  status.flows.forEach((flow, index) => flows.get(flow.name).update(flow, status, samples[index]));
  openLast();
  document.getElementById('pipeline').textContent = status.pipeline;
  document.title = `${status.pipeline}: ${worst(status.flows)}`;
  const states = Object.entries(STATES).map(([state, words]) => [status.flows.filter((flow) => flow.state === state).length, words]);
  const words = states.filter(([count]) => count).map(([count, state]) => `${counted(count, 'flow')} ${state}`);
  document.getElementById('summary').textContent = `${words.join(', ')}; up ${length(status.uptime)}; weatherflow ${status.version}`;
  const heading = over ? ['the run has ended'] : [];
  announce([...heading, ...status.flows.map(({ name, state }) => `${name} ${STATES[state]}`)].join(', '));
  connection();
}

function build({ flows: told }) {
  flows.clear();
  opened = undefined;
  told.forEach((flow, index) => {
    flows.set(flow.name, Object.assign(new Flow(flow, index), { graph: JSON.stringify(flow.graph) }));
  });
  document.getElementById('flows').replaceChildren(...[...flows.values()].map((flow) => flow.root));
}

// The same values may pass several flows: the chart of the last is open, until someone opens another.
function openLast() {
  const last = [...flows.values()].findLast(({ chart }) => chart.names)?.chart;
  if (!last || last === opened) return;
  opened?.root.removeAttribute('open');
  last.root.setAttribute('open', '');
  opened = last;
}

const worst = (told) => STATES[['failed', 'trying_again', 'stopping', 'stopped', 'starting', 'running', 'done'].find((state) => told.some((flow) => flow.state === state))];

function connection() {
  const pill = document.getElementById('connection');
  const [state, words] = connectionState(Date.now() - (heard ?? began) > SILENT);
  if (pill.dataset.state !== state) {
    pill.dataset.state = state;
    pill.textContent = words;
    if (state === 'lost') announce(words);
  }
  document.body.classList.toggle('stale', state === 'lost');
}

function connectionState(isSilent) {
  if (over) return ['over', 'the run has ended'];
  if (isSilent) return ['lost', 'connection lost, trying again'];
  return heard ? ['live', 'live'] : ['waiting', 'connecting'];
}

// Heard by screen readers: changes of state, and no numbers.
function announce(words) {
  const place = document.getElementById('announcement');
  if (place.textContent !== words) place.textContent = words;
}

listen();
setInterval(connection, 1000);
