import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  launchBrowser,
  screenshotFolder,
  shoot as shootInto,
  type Visitor,
  visit,
} from './support/browser.ts';
import { type TestMesh, testMesh } from './support/mesh.ts';

const giveUpMs = 45_000;
const email = `lan-${crypto.randomUUID()}@example.test`;
const password = 'long-enough-for-lan';

let on: TestMesh;
let browser: Browser;
let desk: Visitor;
let couch: Visitor;
const visitors: Visitor[] = [];
const shots = screenshotFolder();
const shoot = ({ page }: Visitor, name: string) => shootInto(page, shots, name);

const come = async (options: Parameters<typeof visit>[2]): Promise<Visitor> => {
  const visitor = await visit(browser, on.url, options);
  visitors.push(visitor);
  visitor.page.setDefaultTimeout(giveUpMs);
  return visitor;
};

beforeAll(async () => {
  process.stdout.write(`screenshots: ${shots}\n`);
  [on, browser] = await Promise.all([testMesh(), launchBrowser()]);
  desk = await come({ locale: 'en-US', colorScheme: 'light' });
  await desk.signUp(email, password, 'Lan Wei');
  couch = await come({ locale: 'zh-CN', colorScheme: 'dark' });
  await couch.signIn(email, password);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

const both = (): [Visitor, Visitor] => [desk, couch];
const open = ({ page }: Visitor, panel: string) => page.click(`[data-panel=${panel}]`);
const task = ({ page }: Visitor, title: string) => page.locator(`[data-task="${title}"]`);

const add = async ({ page }: Visitor, title: string) => {
  await page.fill('input[name=task]', title);
  await page.press('input[name=task]', 'Enter');
};

const rename = async (visitor: Visitor, from: string, to: string) => {
  await task(visitor, from).locator('[data-act=rename]').click();
  await visitor.page.fill('li input.title', to);
  await visitor.page.press('li input.title', 'Enter');
  await task(visitor, to).waitFor();
};

/** Everything a page has done has been answered. */
const saved = ({ page }: Visitor) => page.locator('[data-test=unanswered]').waitFor({ state: 'detached' });

const call = async <T>(path: string, body: unknown, token?: string): Promise<T> => {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const headers = { 'content-type': 'application/json', ...authorization };
  const response = await fetch(`${on.url}/v1${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as T;
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
};

const signedIn = () => call<{ accessToken: string }>('/auth/login', { email, password });

/** Writes a note, where nobody but a person can decide, as one more device. */
const write = (token: string, device: string, baseVersion: number, text: string) => {
  const ms = Date.now().toString(16).padStart(12, '0');
  const op = { op: 'set', path: ['text'], value: text };
  const note = { collection: 'knowledge_base', id: 'tea', baseVersion, hlc: `${ms}-0000-${device}` };
  return call('/spaces/personal/mutations', { device, mutations: [{ seq: 1, ops: [op], ...note }] }, token);
};

describe('documents in two browsers', () => {
  it('shows the tasks of one device on the other, live', async () => {
    await Promise.all(both().map((visitor) => open(visitor, 'tasks')));
    await add(desk, 'Water the bonsai');
    await add(desk, 'Buy oolong');
    await task(couch, 'Buy oolong').locator('[type=checkbox]').check();
    await desk.page.locator('[data-task="Buy oolong"].done').waitFor();
    await add(couch, '给妈妈打电话');
    await task(desk, '给妈妈打电话').waitFor();
    await task(desk, 'Water the bonsai').locator('[data-act=delete]').click();
    await task(couch, 'Water the bonsai').waitFor({ state: 'detached' });
    await Promise.all([shoot(desk, 'desk-tasks'), shoot(couch, 'couch-tasks')]);
  }, 60_000);

  it('keeps what was done offline, shows that it waits, and sends it once the network is back', async () => {
    await desk.online(false);
    await add(desk, 'Read on the train');
    await desk.page.click('.memory');
    await desk.page.locator('.memory[aria-checked=false]').waitFor();
    await task(desk, 'Read on the train').locator('.waiting').waitFor();
    expect(await desk.page.locator('[data-test=unanswered]').textContent()).toContain('2');
    await shoot(desk, 'desk-tasks-offline');
    await desk.online(true);
    await saved(desk);
    await task(couch, 'Read on the train').waitFor();
    await couch.page.locator('.memory[aria-checked=false]').waitFor();
    await couch.page.click('.memory');
    await desk.page.locator('.memory[aria-checked=true]').waitFor();
  }, 60_000);

  it('shows both values when two devices change one task offline, and brings back what lost', async () => {
    await Promise.all(both().map((visitor) => visitor.online(false)));
    await rename(desk, '给妈妈打电话', 'Call mum at six');
    await rename(couch, '给妈妈打电话', 'Call mum at eight');
    await desk.online(true);
    await saved(desk);
    await couch.online(true);
    await saved(couch);
    // The newer one stands on both, and both are told that there was another one.
    for (const visitor of both()) {
      await task(visitor, 'Call mum at eight').waitFor();
      await visitor.page.locator('[data-badge=conflicts]').waitFor();
    }
    await open(desk, 'conflicts');
    const conflict = desk.page.locator('[data-conflict][data-state=settled]', { hasText: 'Call mum at six' });
    await conflict.locator('.stands', { hasText: 'Call mum at eight' }).waitFor();
    await shoot(desk, 'desk-conflicts');
    await conflict.locator('[data-keep]').click();
    await desk.page.locator('[data-conflict][data-state=undone]').waitFor();
    await task(couch, 'Call mum at six').waitFor();
    for (const { page } of both())
      await page.locator('[data-badge=conflicts]').waitFor({ state: 'detached' });
    await open(desk, 'tasks');
    await task(desk, 'Call mum at six').waitFor();
  }, 60_000);

  it('lets a person decide where nobody else can', async () => {
    const { accessToken } = await signedIn();
    await write(accessToken, 'maker', 0, 'Oolong: 90 °C');
    await write(accessToken, 'tablet', 1, 'Oolong: 95 °C');
    await write(accessToken, 'laptop', 1, 'Oolong: 85 °C');
    await couch.page.locator('[data-badge=conflicts]').waitFor();
    await Promise.all(both().map((visitor) => open(visitor, 'conflicts')));
    const open1 = couch.page.locator('[data-conflict][data-state=open]');
    await open1.locator('.side.stands').waitFor();
    await Promise.all([shoot(couch, 'couch-conflicts'), shoot(desk, 'desk-conflict-open')]);
    await open1.locator('.side:not(.stands) [data-keep]').click();
    for (const { page } of both()) {
      await page.locator('[data-conflict][data-state=resolved] .side.stands', { hasText: '95 °C' }).waitFor();
      await page.locator('[data-badge=conflicts]').waitFor({ state: 'detached' });
    }
  }, 60_000);

  it('forks a conversation at a message, opens the fork, and renames it for every device', async () => {
    await desk.page.click('.new.button');
    await desk.say('Which tea is best in the morning?');
    await desk.page.locator('[data-message][data-state=complete]').waitFor();
    const whole = await desk.messages();
    await desk.page.locator('[data-message].user [data-test=fork]').click();
    // The fork has what was said up to there, and the answer behind it is not in it.
    await expect.poll(() => desk.messages(), { timeout: giveUpMs }).toEqual(whole.slice(0, 1));
    await desk.page.click('[data-test=rename]');
    await desk.page.fill('[data-test=title]', 'Tea, once more');
    await desk.page.press('[data-test=title]', 'Enter');
    for (const { page } of both()) await page.locator('.item', { hasText: 'Tea, once more' }).waitFor();
    await shoot(desk, 'desk-fork');
    await couch.page.locator('.item', { hasText: 'Tea, once more' }).click();
    await expect.poll(() => couch.messages(), { timeout: giveUpMs }).toEqual(whole.slice(0, 1));
    await shoot(couch, 'couch-fork');
  }, 60_000);

  it('keeps the focus where the person put it, and beside what went away', async () => {
    const { page } = desk;
    await open(desk, 'tasks');
    for (const title of ['First', 'Second', 'Third']) await add(desk, title);
    const focused = () => page.locator(':focus');
    await rename(desk, 'Second', 'Number two');
    expect(await focused().getAttribute('data-act')).toBe('rename');
    await task(desk, 'First').locator('[data-act=rename]').click();
    await page.click('[name=task]');
    await task(desk, 'First').locator('input.title').waitFor({ state: 'detached' });
    expect(await focused().getAttribute('name')).toBe('task');
    await task(desk, 'First').locator('[data-act=delete]').focus();
    await page.keyboard.press('Enter');
    await task(desk, 'First').waitFor({ state: 'detached' });
    const row = page.locator('li:has(:focus)');
    expect(await row.getAttribute('data-task')).toBe('Number two');
    expect(await focused().getAttribute('data-act')).toBe('delete');
    await page.click('.list .item');
    await page.click('[data-test=rename]');
    await page.keyboard.press('Escape');
    await page.locator('[data-test=rename]:focus').waitFor();
  }, 60_000);

  it('shows tasks and conflicts on a phone without scrolling sideways', async () => {
    const { page } = desk;
    const { width, height } = page.viewportSize() ?? { width: 1280, height: 800 };
    await page.setViewportSize({ width: 390, height: 844 });
    for (const panel of ['tasks', 'conflicts']) {
      await page.click('.menu.icon-button');
      await open(desk, panel);
      await page.locator('.backdrop').waitFor({ state: 'hidden' });
      expect((await desk.overflow()).x).toBeLessThanOrEqual(0);
      await shoot(desk, `phone-${panel}`);
    }
    await page.click('.menu.icon-button');
    await open(desk, 'tasks');
    await page.setViewportSize({ width: 320, height: 568 });
    await desk.online(false);
    await add(desk, 'A task whose text is longer than a small phone is wide, and-has-a-very-long-word-too');
    await page.locator('li .waiting').waitFor();
    expect((await desk.overflow()).x).toBeLessThanOrEqual(0);
    const cut = '(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector("h1"))';
    expect(await page.evaluate(cut)).toBeLessThanOrEqual(0);
    await shoot(desk, 'phone-tasks-offline');
    await desk.online(true);
    await page.setViewportSize({ width, height });
  }, 60_000);

  it('asks before it deletes what was not sent, and signs out every window with nothing left', async () => {
    const { page } = desk;
    const other = await page.context().newPage();
    await other.goto(on.url);
    for (const one of [page, other]) {
      await one.click('[data-panel=tasks]');
      await one.locator('[name=task]:enabled').waitFor();
    }
    await desk.online(false);
    await other.locator('[data-phase=offline]').waitFor();
    for (const [at, title] of [
      [other, 'Secret of the other window'],
      [page, 'Secret of this window'],
    ] as const) {
      await at.fill('[name=task]', title);
      await at.press('[name=task]', 'Enter');
    }
    const secrets = () =>
      page.evaluate<number>('Object.values(localStorage).filter((text) => text.includes("Secret")).length');
    await expect.poll(secrets).toBe(2);
    await page.click('[data-test=sign-out]');
    expect(await page.locator('[data-test=sign-out-dialog]').textContent()).toContain('2');
    await shoot(desk, 'desk-sign-out');
    await page.click('[data-act=stay]');
    expect(await secrets()).toBe(2);
    await page.click('[data-test=sign-out]');
    await page.click('[data-test=sign-out-dialog] [data-act=delete]');
    for (const one of [page, other]) await one.locator('input[name=email]').waitFor();
    expect(await secrets()).toBe(0);
    await other.close();
  }, 60_000);

  it('leaves no error in any console and breaks no content policy', () => {
    expect(visitors.flatMap(({ faults }) => faults)).toEqual([]);
  });
});

it('a browser that was closed leaves no fonts behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-browser-'));
  vi.stubEnv('TMPDIR', folder);
  const one = await launchBrowser();
  const fonts = () => readdirSync(folder).filter((name) => name.startsWith('skein-fonts-'));
  expect(fonts()).toHaveLength(1);
  await one.close();
  vi.unstubAllEnvs();
  const left = fonts();
  rmSync(folder, { recursive: true, force: true });
  expect(left).toEqual([]);
}, 60_000);
