import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  launchBrowser,
  screenshotFolder,
  shoot as shootInto,
  type Visitor,
  visit,
} from './support/browser.ts';
import { type TestMesh, testMesh } from './support/mesh.ts';

/** An offline answer then takes six or seven seconds: time to look, stop and kill, on a busy machine too. */
const paceMs = 60;
const giveUpMs = 45_000;
const email = `mei-${crypto.randomUUID()}@example.test`;
const password = 'long-enough-for-mei';

let on: TestMesh;
let browser: Browser;
let desk: Visitor;
let couch: Visitor;
const visitors: Visitor[] = [];
const shots = screenshotFolder();

const come = async (options: Parameters<typeof visit>[2]): Promise<Visitor> => {
  const visitor = await visit(browser, on.url, options);
  visitors.push(visitor);
  visitor.page.setDefaultTimeout(giveUpMs);
  return visitor;
};

const shoot = (page: Page, name: string) => shootInto(page, shots, name);

beforeAll(async () => {
  const built = fileURLToPath(new URL('../../packages/console/dist/index.html', import.meta.url));
  if (!existsSync(built)) throw new Error('The web page is not built: run "npm start" or "npm test" once.');
  process.stdout.write(`screenshots: ${shots}\n`);
  [on, browser] = await Promise.all([
    testMesh({ env: { AGENT_OFFLINE_PACE_MS: String(paceMs) } }),
    launchBrowser(),
  ]);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await on?.[Symbol.asyncDispose]();
}, 60_000);

/** The conversation scrolls, the page does not. */
const none = { x: 0, y: 0 };

const both = (): [Visitor, Visitor] => [desk, couch];
const answers = (state: string) => `[data-message][data-state=${state}]`;

const ended = `${answers('complete')}, ${answers('cancelled')}, ${answers('failed')}`;
const endedOn = ({ page }: Visitor) => page.locator(ended).count();

/** Waits until so many answers have ended on both pages, and gives what both show, which must be the same. */
const sameOnBoth = async (count: number): Promise<string[]> => {
  for (const visitor of both()) {
    await expect.poll(() => endedOn(visitor), { timeout: giveUpMs }).toBe(count);
  }
  const shown = await desk.messages();
  expect(await couch.messages()).toEqual(shown);
  return shown;
};

/** Waits until an answer that is being made shows some text. */
const streaming = ({ page }: Visitor) =>
  page
    .locator(answers('streaming'))
    .filter({ hasText: /离线|offline/ })
    .waitFor();

describe('the page in two browsers', () => {
  it('signs somebody up in one and in in the other', async () => {
    desk = await come({ locale: 'en-US', colorScheme: 'light' });
    await shoot(desk.page, 'desk-signin');
    await desk.signUp(email, password, 'Mei Lin');
    couch = await come({ locale: 'zh-CN', colorScheme: 'dark' });
    await couch.signIn(email, password);
    // Who is connected from where: two devices, on both pages.
    for (const { page } of both()) {
      await expect.poll(() => page.locator('.devices li:not(.away)').count(), { timeout: giveUpMs }).toBe(2);
    }
    await shoot(desk.page, 'desk-empty');
    await shoot(couch.page, 'couch-empty');
  }, 90_000);

  it('shows a message and its streaming answer in both, and the same final text', async () => {
    await desk.say('我最喜欢的茶是乌龙茶，请记住。');
    await Promise.all(both().map(streaming));
    await Promise.all([shoot(desk.page, 'desk-streaming'), shoot(couch.page, 'couch-streaming')]);
    const [question, answer] = await sameOnBoth(1);
    expect(question).toBe('我最喜欢的茶是乌龙茶，请记住。');
    expect(answer).toMatch(/离线/);
    await couch.say('我最喜欢的茶是什么？');
    const shown = await sameOnBoth(2);
    expect(shown).toHaveLength(4);
    // Found again in what was said before.
    expect(shown[3]).toContain('乌龙茶');
    await Promise.all([shoot(desk.page, 'desk-answered'), shoot(couch.page, 'couch-answered')]);
    for (const visitor of both()) expect(await visitor.overflow()).toEqual(none);
  }, 90_000);

  it('changes the persona and the memory switch in one for the other too', async () => {
    await desk.page.click('[data-test=persona]');
    await desk.page.locator('[data-persona=cruz]:focus').waitFor();
    await shoot(desk.page, 'desk-personas');
    await desk.page.click('[data-persona=data-analyst]');
    await couch.page.locator('[data-test=persona]', { hasText: /analyst/i }).waitFor();
    await couch.page.click('.memory');
    await desk.page.locator('.memory[aria-checked=false]').waitFor();
    await desk.page.click('.memory');
    await couch.page.locator('.memory[aria-checked=true]').waitFor();
  }, 60_000);

  it('stops in one an answer that was asked for in the other', async () => {
    const before = await endedOn(desk);
    await desk.say('Tell me everything you know about tea.');
    await streaming(couch);
    await couch.page.click('.act.stop');
    for (const { page } of both()) await page.locator(answers('cancelled')).waitFor();
    await sameOnBoth(before + 1);
    await shoot(couch.page, 'couch-stopped');
  }, 60_000);

  it('comes back without a reload and loses nothing when the gateway is killed in the middle of an answer', async () => {
    const sockets = both().map((visitor) => visitor.sockets);
    const [answersBefore, messagesBefore] = [await endedOn(desk), (await desk.messages()).length];
    for (const visitor of both()) {
      visitor.lineMayBreak = true;
      await visitor.page.evaluate('window.neverReloaded = true');
    }
    await desk.say('How do I brew oolong?');
    await streaming(couch);
    const gateway = on.mesh.processes.get('gateway');
    expect(gateway?.kill('SIGKILL')).toBe(true);
    await couch.page.locator('[data-phase]:not([data-phase=live])').waitFor();
    await couch.say('Written while the gateway was away. 网关不在的时候写的。');
    await shoot(couch.page, 'couch-reconnecting');
    await gateway?.ready();
    const shown = await sameOnBoth(answersBefore + 2);
    expect(shown.filter((text) => text.startsWith('Written while the gateway was away.'))).toHaveLength(1);
    expect(shown).toHaveLength(messagesBefore + 4);
    for (const [at, visitor] of both().entries()) {
      await visitor.page.locator('[data-phase=live]').waitFor();
      expect(visitor.sockets).toBeGreaterThan(sockets[at] ?? 0);
      expect(await visitor.page.evaluate('window.neverReloaded')).toBe(true);
      visitor.lineMayBreak = false;
    }
    // Nothing but what the server has, in its order.
    await desk.page.reload();
    await desk.page.locator('[data-phase=live]').waitFor();
    await expect.poll(() => desk.messages(), { timeout: giveUpMs }).toEqual(shown);
    await shoot(desk.page, 'desk-after-kill');
  }, 120_000);

  it('does not scroll sideways on a phone, and everything can be reached there', async () => {
    const phone = await come({
      locale: 'zh-CN',
      colorScheme: 'light',
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
      deviceScaleFactor: 2,
    });
    await shoot(phone.page, 'phone-signin');
    expect(await phone.overflow()).toEqual(none);
    await phone.signIn(email, password);
    await phone.page.locator(answers('complete')).first().waitFor();
    const long = `\`${'a-word-without-an-end-'.repeat(12)}\` ${'没有空格的长句子'.repeat(20)}`;
    const before = await endedOn(phone);
    await phone.say(long);
    await expect.poll(() => endedOn(phone), { timeout: giveUpMs }).toBe(before + 1);
    expect(await phone.overflow()).toEqual(none);
    await shoot(phone.page, 'phone-chat');
    await phone.page.tap('.menu');
    await phone.page.locator('.side.open .item').first().waitFor();
    await shoot(phone.page, 'phone-menu');
    await phone.page.locator('.side.open .closer').tap();
    await phone.page.tap('[data-test=persona]');
    await phone.page.locator('[data-persona=cruz]').waitFor();
    expect(await phone.overflow()).toEqual(none);
    await shoot(phone.page, 'phone-personas');
    await phone.page.context().close();
  }, 90_000);

  it('can be used with the keyboard alone', async () => {
    const { page, tabTo, messages } = await come({ locale: 'en-US', colorScheme: 'dark' });
    await tabTo('.swap button');
    await page.keyboard.press('Enter');
    await tabTo('input[name=name]', 'Shift+Tab');
    await page.keyboard.type('Kay Board');
    await tabTo('input[name=email]');
    await page.keyboard.type(`kay-${crypto.randomUUID()}@example.test`);
    await tabTo('input[name=password]');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await page.locator('[data-phase=live]').waitFor();
    // The message box has the focus by itself.
    await page.locator('#composer:focus').waitFor();
    await page.keyboard.type('你好');
    await page.keyboard.press('Enter');
    await page.locator(answers('streaming')).filter({ hasText: /离线/ }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator(answers('cancelled')).waitFor();
    expect((await messages())[0]).toBe('你好');
    await tabTo('[data-test=persona]', 'Shift+Tab');
    await page.keyboard.press('Enter');
    await page.locator('[data-persona=cruz]:focus').waitFor();
    await page.keyboard.press('ArrowDown');
    await page.locator('[data-persona=coordinator]:focus').waitFor();
    await shoot(page, 'keyboard-personas');
    await page.keyboard.press('Enter');
    await expect
      .poll(() => page.locator('[data-test=persona]').textContent(), { timeout: giveUpMs })
      .not.toMatch(/CRUZ/);
    await tabTo('.memory', 'Shift+Tab');
    await page.keyboard.press('Space');
    await page.locator('.memory[aria-checked=false]').waitFor();
  }, 90_000);

  it('leaves no error in any console and breaks no content policy', () => {
    expect(visitors.flatMap(({ faults }) => faults)).toEqual([]);
  });
});
