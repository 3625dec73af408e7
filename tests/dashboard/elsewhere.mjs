// A page of somebody else's in an operator's browser: node elsewhere.mjs MODULES URL TOKEN. Fails with what it could do.
import { createRequire } from 'node:module';
import http from 'node:http';

const [modules, url, token] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const DRAIN = 'api/v1/servers/default/s1/state/drain';
const PATIENCE = { timeout: 20000 };
const expect = (so, what) => { if (!so) throw new Error(what); };

// Its own server, under a name that could be anybody's; so is the address of beelance, for who asks by another name of the same.
const elsewhere = http.createServer((_, answer) => {
  answer.setHeader('Content-Type', 'text/html');
  answer.end('<title>elsewhere</title><iframe name=aim></iframe>');
});
await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--host-resolver-rules=MAP *.example 127.0.0.1'],
});
const page = await (await browser.newContext()).newPage();
await page.goto(`http://evil.example:${elsewhere.address().port}/`, PATIENCE);

const tried = await page.evaluate(async ({ url, drain, token }) => {
  const of = (promise) => promise.then((it) => it, () => 'refused');
  const loads = (tag) => new Promise((resolve) => {
    const it = document.createElement(tag);
    it.onload = () => resolve('loaded');
    it.onerror = () => resolve('refused');
    it.src = url + (tag === 'script' ? 'page.js' : 'metrics');
    document.body.append(it);
  });
  const authorization = { Authorization: 'Bearer ' + token };
  const read = {};
  read.metrics = await of(fetch(url + 'metrics').then((it) => it.text()));
  read.status = await of(fetch(url + 'api/v1/status', { credentials: 'include' }).then((it) => it.text()));
  read.withToken = await of(fetch(url + 'api/v1/status', { headers: authorization }).then((it) => it.text()));
  read.change = await of(fetch(url + drain, { method: 'POST', headers: authorization }).then((it) => it.status));
  read.script = await loads('script');
  read.image = await loads('img');
  read.metricsThere = typeof window.beelance;
  // What goes out without the browser's asking, and without its telling what came of it.
  await of(fetch(url + drain, { method: 'POST', mode: 'no-cors' }));
  const form = Object.assign(document.createElement('form'), { action: url + drain, method: 'POST', target: 'aim' });
  document.body.append(form);
  form.submit();
  return read;
}, { url, drain: DRAIN, token });
for (const [what, came] of Object.entries(tried))
  expect(came === 'refused' || (what === 'metricsThere' && came === 'undefined'), `${what}: ${came}`);

// It cannot be shown in a frame, where clicks could be led onto it.
const refused = page.waitForEvent('console', { ...PATIENCE, predicate: (message) => message.text().includes('frame-ancestors') });
await page.evaluate((url) => { document.querySelector('iframe').src = url; }, url);
await refused;

// Under a name that leads to beelance itself, it would be at home there.
const rebound = await page.goto(`http://evil.example:${new URL(url).port}/`, PATIENCE);
expect(rebound.status() === 421, `by another name: ${rebound.status()}`);
const fromThere = await page.evaluate(async ({ drain, token }) => {
  const of = (promise) => promise.then((it) => it.status, () => 'refused');
  return [await of(fetch('/metrics')), await of(fetch('/' + drain, { method: 'POST', headers: { Authorization: 'Bearer ' + token } }))];
}, { drain: DRAIN, token });
expect(fromThere.every((it) => it === 'refused' || it === 421), `from there: ${fromThere}`);

// Nothing has changed; and the same by who may.
const state = async () => (await (await fetch(url + 'api/v1/status')).json()).pools[0].servers[0].state;
expect(await state() === 'up', `it is ${await state()}`);
const may = await fetch(url + DRAIN, { method: 'POST', headers: { Authorization: 'Bearer ' + token } });
expect(may.status === 200 && await state() === 'drain', `who may could not: ${may.status}`);
await browser.close();
elsewhere.close();
console.log('it could do nothing; its own page could');
