// What changes under the page, or is not there for a while: node changes.mjs MODULES URL TOKEN. Fails with what it showed.
// What beelance says is altered on its way to the page, so each state is there when it is looked at and no sooner.
import { createRequire } from 'node:module';

const [modules, url, token] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const PATIENCE = { timeout: 20000 };
const expect = (so, what) => { if (!so) throw new Error(what); };

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const page = await (await browser.newContext({ viewport: { width: 1024, height: 700 } })).newPage();
page.on('pageerror', (error) => { throw error; });
const posts = [];
page.on('request', (request) => { if (request.method() === 'POST') posts.push(request.url()); });
const real = await (await fetch(url + 'api/v1/status')).json();

// What the page is told next, each time two seconds later; `answers` counts how often.
let answers = 0, uptime = 100_000;
let tell = () => structuredClone(real);
let answer = async (route) => {
  if (route.request().headers().authorization) return route.continue();
  uptime += 2000;
  return route.fulfill({ json: { ...tell(), uptimeMs: uptime } });
};
await page.route('**/api/v1/status', async (route) => { await answer(route); answers += 1; });
const until = async (what, argument) => {
  for (const end = Date.now() + PATIENCE.timeout; !(await page.evaluate(what, argument)); await page.waitForTimeout(50))
    if (Date.now() > end) throw new Error('not in time: ' + what + '\n' + await page.innerText('body'));
};
const more = async (count) => {
  const enough = answers + count;
  for (const end = Date.now() + PATIENCE.timeout; answers < enough; await page.waitForTimeout(50))
    if (Date.now() > end) throw new Error(`${answers} answers, not ${enough}`);
};
const line = () => page.getAttribute('[data-tile=requests] path:not(.area)', 'd');
const pieces = async () => (await line()).split('M').length - 1;
const points = async () => (await line()).split(/[ML]/).length - 1;

await page.goto(url);
await page.waitForSelector('tr[data-server=s1]', PATIENCE);
// Two seconds are two steps of the line, in one piece; a minute of which nothing is known parts it.
await more(3);
expect(await pieces() === 1 && await points() >= 5, await line());
uptime += 60_000;
await more(2);
expect(await pieces() === 2, await line());

// An answer that comes late, after a newer one, tells nothing any more.
const now = answer, before = await points();
let held;
answer = (route) => { held = route; answer = now; };
for (const end = Date.now() + PATIENCE.timeout; !held; await page.waitForTimeout(20)) expect(Date.now() < end, 'nothing was asked');
await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
await more(2);
await held.fulfill({ json: { ...tell(), uptimeMs: 50_000, version: 'late' } });
await more(2);
expect(await points() > before, await line());

// Nobody answers: it says since when, in words that stay the same, and comes back by itself.
answer = (route) => route.abort();
await until(() => !document.getElementById('lost').hidden);
const lost = await page.textContent('#lost');
expect(/^No answer: what is shown is of .*\d\d.*\.$/.test(lost), lost);
await more(2);
expect(await page.textContent('#lost') === lost && await page.textContent('#health') === 'no answer', await page.textContent('#lost'));
// Somebody answers, but not with what was asked for.
answer = (route) => route.fulfill({ status: 503, body: 'admin.listen was taken out of the configuration\n' });
await until(() => document.getElementById('lost').textContent.startsWith('admin.listen was taken out of the configuration: '));
// Another process is there, which counts from nothing.
uptime = 1000;
answer = now;
tell = () => {
  const young = structuredClone(real);
  for (const it of [...young.listeners, ...young.pools, ...young.pools.flatMap((pool) => pool.servers)])
    for (const key of ['total', 'requests', 's5', 'connect', 'response', 'hits', 'moved']) if (key in it) it[key] = 0;
  return young;
};
await until(() => document.getElementById('lost').hidden);
expect(await pieces() === 1 && !/-\d|NaN|undefined/.test(await page.innerText('main')), await page.innerText('main'));

// A reload brings a server before another, makes that one a backup and takes a pool away.
tell = () => {
  const reloaded = structuredClone(real), [pool, other] = reloaded.pools;
  const [one, two] = pool.servers;
  pool.servers = [one, { ...two, name: 'new' }, { ...two, backup: 1, maxconn: 0 }];
  reloaded.pools = [{ ...other, name: 'first' }, pool];
  return reloaded;
};
await page.waitForSelector('tr[data-server=new]', PATIENCE);
const names = (kind) => page.$$eval(`[data-${kind}]`, (all, kind) => all.map((it) => it.dataset[kind]).join(' '), kind);
expect(await names('pool') === 'first default', await names('pool'));
expect((await names('server')).endsWith('s1 new s2'), await names('server'));
expect(await page.textContent('tr[data-server=s2] th') === 's2backup', await page.textContent('tr[data-server=s2] th'));
// No bar where nothing bounds what is in flight.
expect(await page.isHidden('tr[data-server=s2] .meter') && await page.isVisible('tr[data-server=s1] .meter'), 'bars');

// What no field of a request can carry is wrong, too, and is not asked about.
const asked = page.locator('#ask-error');
await page.click('#unlock');
await page.fill('#token', '\u201c' + token + '\u201d');
await page.keyboard.press('Enter');
await until(() => document.getElementById('ask-error').textContent !== '');
expect(await asked.textContent() === 'The token is wrong.', await asked.textContent());
await page.fill('#token', ' ' + token + ' ');
await page.keyboard.press('Enter');
await page.waitForSelector('body.operator', PATIENCE);
answer = async (route) => { uptime += 2000; await route.fulfill({ json: { ...tell(), uptimeMs: uptime, level: 'operator' } }); };

// However long the names and however narrow the window, what changes a server is in sight; on a phone, everything of it.
tell = () => {
  const long = structuredClone(real), [pool] = long.pools;
  const named = (it, start, number) => ({ ...it, name: (start + number + '-').padEnd(32, 'x') });
  const servers = Array.from({ length: 4 }, (_, number) => ({ ...named(pool.servers[0], 's', number), sent: 1e12, total: 1e9 }));
  long.pools = Array.from({ length: 8 }, (_, number) => ({ ...named(pool, 'p', number), servers, active: 0, backups: 0 }));
  return long;
};
await until(() => document.querySelectorAll('tr[data-server]').length === 32);
for (const width of [840, 1024, 1280, 390, 320]) {
  await page.setViewportSize({ width, height: 700 });
  const outside = await page.$$eval(width < 400 ? '.act button, .pill, h2' : '.act button, #health', (all) => all.filter((it) => {
    const { left, right } = it.getBoundingClientRect();
    return left < 0 || right > document.documentElement.clientWidth;
  }).length);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(outside === 0 && over <= 0, `${width} wide: ${outside} parts outside, ${over} too wide`);
}

// A wheel that turns over a weight changes none.
const weight = page.locator('tr[data-server] input').first();
await weight.focus();
await weight.hover();
const scrolled = await page.evaluate(() => scrollY);
await page.mouse.wheel(0, 120);
await until((before) => scrollY !== before, scrolled);
await page.focus('#why-host');
await more(2);
expect(await weight.inputValue() === '1' && posts.length === 0, `${await weight.inputValue()} ${posts}`);
await browser.close();
console.log('it showed what there was');
