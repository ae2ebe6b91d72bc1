import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

  it('leaves no error in any console and breaks no content policy', () => {
    expect(visitors.flatMap(({ faults }) => faults)).toEqual([]);
  });
});
