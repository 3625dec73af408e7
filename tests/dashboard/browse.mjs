// A person at the dashboard: node browse.mjs MODULES URL SHOP FOLDER. Prints what was seen as JSON; pictures go to FOLDER.
import { createRequire } from 'node:module';
import http from 'node:http';

const [modules, url, shop, folder] = process.argv.slice(2);
const { chromium } = createRequire(modules + '/')('playwright-core');
const TOKEN = 'operator-0123456789';
const PATIENCE = { timeout: 20000 };
const seen = { errors: [], elsewhere: [], weights: [] };

const load = (count, headers = {}) => Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
  http.get(shop + '/', { headers }, (answer) => { answer.resume(); answer.on('end', resolve); }).on('error', reject);
})));

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const open = async (options) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (message) => {
    // A wrong token is answered 401, an address that is none 400, which the browser tells as errors: those are meant.
    if (['error', 'warning'].includes(message.type()) && !/\b40[01]\b/.test(message.text())) seen.errors.push(message.text());
  });
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) seen.elsewhere.push(request.url());
    if (request.url().includes('/weight/')) seen.weights.push(request.url().split('/weight/')[1]);
  });
  await page.goto(url);
  await page.waitForSelector('tr[data-server=s1]', PATIENCE);
  return page;
};

const page = await open({ viewport: { width: 1280, height: 760 }, colorScheme: 'light' });
const text = (selector) => page.textContent(selector);
const state = (server) => text(`tr[data-server=${server}] .pill`);
// Playwright's own waiting evaluates text in the page, which the page's policy refuses, as it should.
const until = async (what, argument) => {
  for (const end = Date.now() + PATIENCE.timeout; !(await page.evaluate(what, argument)); await page.waitForTimeout(50))
    if (Date.now() > end) throw new Error('not in time: ' + what + '\n' + await page.innerText('main'));
};

// Values move under load.
seen.title = await page.title();
seen.before = await text('.top .quiet');
await load(30);
await until((before) => document.querySelector('.top .quiet').textContent !== before, seen.before);
await until(() => /\b30 requests/.test(document.querySelector('.top .quiet').textContent));
await until(() => document.querySelector('tr[data-server=s1] .spark path').getAttribute('d').length > 10);

// What is under way shows while it is: requests whose bodies are still to come fill both servers, and one waits.
const cell = (server, what) => text(`tr[data-server=${server}] td[data-what="${what}"]`);
const tile = (key) => text(`[data-tile=${key}]`);
const begun = Array.from({ length: 41 }, () => {
  const request = http.request(shop + '/', { method: 'POST', headers: { 'Content-Length': 5 }, agent: new http.Agent() });
  request.answered = new Promise((resolve, reject) => {
    request.on('response', (answer) => { answer.resume(); answer.on('end', resolve); });
    request.on('error', reject);
  });
  request.flushHeaders();
  return request;
});
await until(() => [...document.querySelectorAll('td[data-what="In flight"]')].every((it) => it.textContent === '20 / 20')
  && document.querySelector('[data-tile=queue]').textContent.replace(/\W/g, '').startsWith('Waiting1for'));
seen.flight = await tile('flight');
begun.forEach((request) => request.end('hello'));
await Promise.all(begun.map((request) => request.answered));
await until(() => [...document.querySelectorAll('td[data-what="In flight"]')].every((it) => it.textContent === '0 / 20'));
// Users who come back to their server.
await load(4, { Cookie: 'SRV=s2' });
await until(() => document.querySelector('tr[data-server=s2] td[data-what=Stayed]').textContent === '100 %');
seen.response = /^\d+ ms$/.test(await cell('s1', 'Response'));
seen.failed = await cell('s1', 'Errors');
seen.memory = /of \d/.test(await tile('memory'));

// Nobody can change anything without a token, nor with a wrong one.
seen.hidden = await page.isHidden('tr[data-server=s1] .act');
await page.click('#unlock');
await page.fill('#token', 'wrong-wrong-wrong-wr');
await page.click('#ask button[type=submit]');
await until(() => document.getElementById('ask-error').textContent !== '');
seen.refused = await text('#ask-error');
seen.stillHidden = await page.isHidden('tr[data-server=s1] .act');
seen.untouched = await state('s1');

// The right one opens it, by the keyboard alone; a click drains.
await page.fill('#token', TOKEN);
await page.keyboard.press('Enter');
await page.waitForSelector('body.operator', PATIENCE);
await page.click('tr[data-server=s1] button[aria-label="Drain default/s1"]');
await until(() => document.querySelector('tr[data-server=s1] .pill').textContent === 'Drain');
seen.drained = await state('s1');
await page.fill('tr[data-server=s2] input', '7');
await page.keyboard.press('Enter');
await until(() => document.querySelector('tr[data-server=s2] input + span').textContent === '7');
// What is no weight is not sent, nothing least of all: that would be 0, and nobody goes there.
for (const none of ['', '300', '1.5']) {
  await page.fill('tr[data-server=s2] input', none);
  await page.keyboard.press('Enter');
  await until(() => document.querySelector('tr[data-server=s2] input').value === '7');
}
seen.weightNote = await text('#note');
await load(20);
await until(() => /\b95 requests/.test(document.querySelector('.top .quiet').textContent));
await page.screenshot({ path: folder + '/dashboard-light.png', fullPage: true });
await page.focus('tr[data-server=s1] button[aria-label="Ready default/s1"]');
await page.keyboard.press('Space');
await until(() => document.querySelector('tr[data-server=s1] .pill').textContent === 'Up');
seen.back = await state('s1');
await page.click('tr[data-server=s1] button[aria-label="Maint default/s1"]');
await until(() => document.querySelector('tr[data-server=s1] .pill').textContent === 'Maint');
seen.rests = await state('s1');
await page.click('tr[data-server=s1] button[aria-label="Ready default/s1"]');
await until(() => document.querySelector('tr[data-server=s1] .pill').textContent === 'Up');

// What would become of a request, asked by the keyboard alone; a mistake is told.
await page.focus('#why-host');
await page.keyboard.type('shop.example');
await page.fill('#why-cookie', 'SRV=s2');
await page.keyboard.press('Enter');
await until(() => document.querySelectorAll('#why-steps li').length > 5);
seen.why = await text('#why-end');
seen.steps = await page.$$eval('#why-steps b', (all) => all.map((it) => it.textContent).join(' '));
await page.fill('#why-src', 'nobody');
await page.keyboard.press('Enter');
await until(() => document.getElementById('why-end').className === 'bad');
seen.mistake = await text('#why-end');
await page.fill('#why-src', '192.0.2.7');
await page.keyboard.press('Enter');
await until(() => document.querySelectorAll('#why-steps li').length > 5);
// Of a connection, which has neither host nor path.
await page.fill('#why-method', 'Connection');
seen.headless = await page.evaluate(() => ['host', 'path', 'cookie'].every((it) => document.getElementById('why-' + it).disabled));
await page.fill('#why-listen', 'web');
await page.press('#why-listen', 'Enter');
await until(() => document.querySelectorAll('#why-steps li').length === 2);
seen.connection = await text('#why-end');
await page.fill('#why-method', 'GET');
await page.press('#why-method', 'Enter');
await until(() => document.querySelectorAll('#why-steps li').length > 5);
await until(() => document.getElementById('note').textContent === '');
await page.screenshot({ path: folder + '/dashboard-explain.png', fullPage: true });

// Every control has a name for a screen reader, every table a caption; the token is nowhere but in a variable.
seen.unnamed = await page.evaluate(() => [...document.querySelectorAll('button, input')].filter((it) =>
  !(it.getAttribute('aria-label') || it.textContent.trim() || document.querySelector(`label[for=${it.id || 'none'}]`))).length);
seen.captions = await page.evaluate(() => [...document.querySelectorAll('table')].every((it) => it.caption));
seen.kept = await page.evaluate((token) => document.documentElement.outerHTML.includes(token) || document.cookie !== ''
  || localStorage.length > 0 || sessionStorage.length > 0 || document.getElementById('token').value !== '', TOKEN);
await page.click('#unlock');
seen.locked = await page.isHidden('tr[data-server=s1] .act');

// Dark, and on a phone nothing is wider than the screen.
const dark = await open({ viewport: { width: 1280, height: 760 }, colorScheme: 'dark' });
seen.dark = await dark.evaluate(() => getComputedStyle(document.body).backgroundColor);
await dark.screenshot({ path: folder + '/dashboard-dark.png', fullPage: true });
const phone = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'light' });
seen.overflow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
await phone.fill('#why-host', 'shop.example');
await phone.tap('#why button');
await phone.waitForSelector('#why-steps li', PATIENCE);
seen.overflowBelow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
await phone.screenshot({ path: folder + '/dashboard-phone.png', fullPage: true });
await browser.close();
console.log(JSON.stringify(seen));
