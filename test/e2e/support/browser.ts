import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentPath } from '@skein/components';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';

/**
 * The browser must run where tests run: as root, in containers, without a graphics card, and without asking the
 * network for anything of its own.
 */
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * The fonts of this machine and one with Chinese, which servers have none of: without it a page in Chinese is a page of
 * empty boxes.
 */
const fonts = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-fonts-'));
  const chinese = dirname(
    fileURLToPath(
      import.meta.resolve('@expo-google-fonts/zcool-xiaowei/400Regular/ZCOOLXiaoWei_400Regular.ttf'),
    ),
  );
  const file = join(folder, 'fonts.conf');
  writeFileSync(
    file,
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${chinese}</dir>
  <cachedir>${folder}</cachedir>
</fontconfig>
`,
  );
  return file;
};

/** Starts the Chromium of the components. Closed, it leaves nothing of ours behind. */
export const launchBrowser = async (): Promise<Browser> => {
  const executablePath = await componentPath('chromium');
  const config = fonts();
  const env = { ...process.env, FONTCONFIG_FILE: config };
  // A process of it that is still ending may write into its cache of fonts meanwhile.
  const clear = () => rmSync(dirname(config), { recursive: true, force: true, maxRetries: 5 });
  try {
    const browser = await chromium.launch({ executablePath, args: quiet, headless: true, env });
    return browser.once('disconnected', clear);
  } catch (error) {
    clear();
    throw error;
  }
};

/** Where screenshots of one run go. */
export const screenshotFolder = (): string => mkdtempSync(join(tmpdir(), 'skein-screenshots-'));

const restMs = 45_000;

/** Takes a picture of a page that has come to rest; what blinks for ever may go on. */
export const shoot = async (page: Page, folder: string, name: string): Promise<void> => {
  const moving =
    'document.getAnimations().filter((one) => one.playState === "running" && one.effect.getTiming().iterations < Infinity).length';
  // The page's own content policy forbids what waitForFunction would do.
  await expect.poll(() => page.evaluate(moving), { timeout: restMs }).toBe(0);
  await page.screenshot({ path: join(folder, `${name}.png`) });
};

/** Lines a browser writes by itself while a server is away. */
const lineBroke =
  /net::ERR_(CONNECTION_|INTERNET_|INCOMPLETE_|EMPTY_|NETWORK_|SOCKET_)|WebSocket connection to .* failed/;

/** A page of its own, like a person at a device: what they see, type and press, and what went wrong unseen. */
export interface Visitor {
  readonly page: Page;
  /** Errors of the page and of the console: scripts, refused content, failed requests. */
  readonly faults: readonly string[];
  /** WebSockets opened so far. */
  readonly sockets: number;
  /** Whether faults of the line are expected now. */
  lineMayBreak: boolean;
  /** Takes the network away, or gives it back. */
  online(is: boolean): Promise<void>;
  signUp(email: string, password: string, name: string): Promise<void>;
  signIn(email: string, password: string): Promise<void>;
  /** Writes into the message box and sends with Enter. */
  say(text: string): Promise<void>;
  /** Everything said in the open conversation, questions and answers, as text. */
  messages(): Promise<string[]>;
  /** Presses Tab (or another key) until the element has the focus. */
  tabTo(selector: string, key?: 'Tab' | 'Shift+Tab'): Promise<void>;
  /** How many pixels the page is wider and higher than its window. */
  overflow(): Promise<{ readonly x: number; readonly y: number }>;
}

/** More elements than the page has. */
const maxTabs = 60;

/** Opens the page of the mesh in a browser context of its own. */
export const visit = async (
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visitor> => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  let sockets = 0;
  let lineMayBreak = false;
  const fault = (text: string) => {
    if (!(lineMayBreak && lineBroke.test(text))) faults.push(text);
  };
  page.on('pageerror', (error) => fault(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') fault(message.text());
  });
  page.on('websocket', () => {
    sockets += 1;
  });
  await page.goto(url);
  await page.locator('form').waitFor();

  const enter = async (email: string, password: string) => {
    await page.fill('input[name=email]', email);
    await page.fill('input[name=password]', password);
    await page.click('button[type=submit]');
    await page.locator('[data-phase=live]').waitFor();
  };
  return {
    page,
    faults,
    get sockets() {
      return sockets;
    },
    get lineMayBreak() {
      return lineMayBreak;
    },
    set lineMayBreak(may) {
      lineMayBreak = may;
    },
    online: async (is) => {
      lineMayBreak = true;
      await context.setOffline(!is);
      await page.locator(is ? '[data-phase=live]' : '[data-phase=offline]').waitFor();
      if (is) lineMayBreak = false;
    },
    signUp: async (email, password, name) => {
      await page.click('.swap button');
      await page.fill('input[name=name]', name);
      await enter(email, password);
    },
    signIn: enter,
    say: async (text) => {
      await page.fill('#composer', text);
      await page.press('#composer', 'Enter');
    },
    messages: async () => {
      const texts = await page
        .locator('[data-message].user .bubble, [data-message].answer .md')
        .allInnerTexts();
      return texts.map((text) => text.trim());
    },
    tabTo: async (selector, key = 'Tab') => {
      const focused = page.locator(`${selector}:focus`);
      for (let tabs = 0; tabs < maxTabs; tabs += 1) {
        if ((await focused.count()) > 0) return;
        await page.keyboard.press(key);
      }
      throw new Error(`${key} does not reach ${selector}`);
    },
    overflow: () =>
      page.evaluate(
        '({ x: document.documentElement.scrollWidth - innerWidth, y: document.documentElement.scrollHeight - innerHeight })',
      ),
  };
};
