/** Strokes on a 24 × 24 grid. Drawn for this page. */
export const icons = {
  menu: ['M4 7h16', 'M4 12h16', 'M4 17h10'],
  close: ['M6 6l12 12', 'M18 6L6 18'],
  plus: ['M12 5v14', 'M5 12h14'],
  send: ['M12 19V6', 'M6 11.5L12 5.5l6 6'],
  stop: ['M8 8h8v8H8z'],
  down: ['M6 9.5l6 6 6-6'],
  toLatest: ['M12 5v13', 'M6.5 12.5L12 18l5.5-5.5'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  copy: ['M9 9h10v11H9z', 'M15 9V4H5v11h4'],
  sun: [
    'M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z',
    'M12 3v2',
    'M12 19v2',
    'M3 12h2',
    'M19 12h2',
    'M5.6 5.6L7 7',
    'M17 17l1.4 1.4',
    'M5.6 18.4L7 17',
    'M17 7l1.4-1.4',
  ],
  moon: ['M19.5 14.2A7.8 7.8 0 0 1 9.8 4.5a7.8 7.8 0 1 0 9.7 9.7z'],
  auto: ['M12 4a8 8 0 1 0 0 16z', 'M12 4a8 8 0 0 1 0 16'],
  signOut: ['M14 5H6v14h8', 'M11 12h9', 'M17 8.5l3.5 3.5-3.5 3.5'],
  memory: [
    'M12 5.5C10.5 3.8 7 4.2 6.6 7 4.4 7.6 4 10.6 5.6 12 4 13.6 4.6 16.4 6.8 16.9 7.2 19.7 10.6 20.2 12 18.500z',
    'M12 5.500c1.5-1.7 5-1.3 5.4 1.5 2.2.6 2.6 3.6 1 5 1.6 1.6 1 4.4-1.2 4.9-.4 2.8-3.8 3.3-5.2 1.600z',
    'M9 10h1.5',
    'M13.5 14H15',
  ],
  web: ['M4 5h16v11H4z', 'M9 20h6', 'M12 16v4'],
  phone: ['M8 3h8v18H8z', 'M11 17.800h2'],
  terminal: ['M4 5h16v14H4z', 'M7.5 9.500L10 12l-2.5 2.5', 'M12 15h4'],
  chat: ['M5 5h14v10h-7l-4 4v-4H5z'],
  tasks: [
    'M4 6.500l1.500 1.500L8 5',
    'M4 13l1.500 1.500L8 11.500',
    'M11 7h9',
    'M11 13.500h9',
    'M11 19.500h6',
    'M5 19.500h2',
  ],
  fork: [
    'M6 4v16',
    'M6 14c0-4 12-2 12-7',
    'M18 7V4',
    'M3.500 17.500L6 20l2.500-2.500',
    'M15.500 6.500L18 4l2.500 2.500',
  ],
  edit: ['M5 19l1-4L16 5l3 3L9 18z', 'M14 7l3 3'],
  trash: ['M5 7h14', 'M10 7V4.500h4V7', 'M7 7l.8 12.500h8.400L17 7', 'M10.500 11v5', 'M13.500 11v5'],
  alert: ['M12 4l9 16H3z', 'M12 10v4.5', 'M12 17.300v.1'],
  clock: ['M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z', 'M12 8v4.300l2.8 1.7'],
  globe: [
    'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z',
    'M4 12h16',
    'M12 4c2.5 2.3 3.5 5 3.5 8s-1 5.7-3.5 8c-2.5-2.3-3.5-5-3.5-8s1-5.7 3.5-8z',
  ],
} as const satisfies Record<string, readonly string[]>;

/** A drawing of the page. */
export type IconName = keyof typeof icons;

/** The drawing for the kind of place a device is. */
export function platformIcon(platform: string): IconName {
  if (platform === 'web' || platform === 'desktop') return 'web';
  if (platform === 'ios' || platform === 'android' || platform === 'mobile') return 'phone';
  return platform === 'cli' || platform === 'terminal' || platform === 'api' ? 'terminal' : 'chat';
}
