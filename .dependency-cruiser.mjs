// Which module may import which, and why. "npm run check" enforces it; tools/test/layers.test.ts proves that each
// rule bites. The layers are those of docs and CONTRIBUTING.md.

/** What each package may import of the other packages. What is not listed here may not be imported. */
const mayImport = {
  'sync-core': [],
  'sync-client': ['sync-core'],
  components: [],
  contracts: [],
  telemetry: ['contracts'],
  'service-kit': ['contracts', 'telemetry'],
  resilience: ['contracts', 'telemetry', 'service-kit'],
  postgres: ['contracts', 'telemetry', 'service-kit'],
  discovery: ['contracts', 'telemetry', 'service-kit'],
  config: ['telemetry', 'service-kit', 'resilience'],
  'discovery-consul': ['contracts', 'telemetry', 'service-kit', 'resilience', 'discovery', 'config'],
  rpc: ['contracts', 'telemetry', 'service-kit', 'resilience'],
  events: ['contracts', 'telemetry', 'service-kit', 'postgres'],
  saga: ['contracts', 'telemetry', 'service-kit', 'resilience', 'postgres', 'rpc'],
  'events-nats': ['contracts', 'telemetry', 'service-kit', 'events'],
  platform: [
    'contracts',
    'telemetry',
    'service-kit',
    'resilience',
    'postgres',
    'discovery',
    'discovery-consul',
    'config',
    'rpc',
    'events',
    'events-nats',
  ],
  cli: ['contracts', 'postgres', 'events', 'service-kit', 'config', 'platform'],
  launcher: ['contracts', 'service-kit', 'postgres', 'components'],
  testkit: ['contracts', 'sync-core'],
  console: ['sync-core', 'sync-client'],
};

/** Clients and frameworks that one package wraps, so that the rest of the product depends on our interface only. */
const owners = [
  [
    'pg',
    ['packages/postgres'],
    'everybody else goes through Database and Tx, which have the timeouts and the spans',
  ],
  ['consul', ['packages/discovery-consul'], 'discovery and config are ports; Consul is one adapter of each'],
  ['@nats-io/[^/]+', ['packages/events-nats'], 'events are a port; NATS is one adapter of it'],
  ['opossum', ['packages/resilience'], 'its traps are dealt with once, behind our policy type'],
  ['pino', ['packages/telemetry'], 'everybody else logs through Logger, which redacts and adds trace ids'],
  ['@opentelemetry/[^/]+', ['packages/telemetry'], 'spans and metrics are made through our wrappers only'],
  ['@sparticuz/chromium', ['packages/components'], 'a browser is asked for by componentPath'],
  [
    'express|ws',
    ['services/gateway', 'packages/testkit'],
    'only the gateway speaks HTTP and WebSocket to the outside',
  ],
  ['nodemailer', ['services/user'], 'mail goes through the port Mailer, which bounds and retries'],
  ['@node-rs/argon2', ['services/auth'], 'only auth ever sees a password'],
];

/** A path pattern for an npm package, wherever pnpm put it. */
const npm = (name) => `node_modules/(${name})/`;

const testCode = String.raw`\.(test|int\.test|e2e\.test)\.ts$|/test/|^test/`;

const packageLayers = Object.entries(mayImport).map(([name, allowed]) => ({
  name: `layers-${name}`,
  comment: `packages/${name} may import ${allowed.length > 0 ? allowed.join(', ') : 'no other package'}: dependencies point one way, so a lower layer can be read, tested and changed without the ones above.`,
  severity: 'error',
  from: { path: `^packages/${name}/src/` },
  to: { path: '^packages/', pathNot: [name, ...allowed].map((other) => `^packages/${other}/`) },
}));

const clientOwners = owners.map(([name, folders, reason]) => ({
  name: `only-owner-imports-${name.replace(/[^a-z0-9-]+/gi, '-').replace(/^-|-$/g, '')}`,
  comment: `${name} is imported by ${folders.join(' and ')} only: ${reason}.`,
  severity: 'error',
  from: { path: '^(packages|services)/[^/]+/src/', pathNot: folders.map((folder) => `^${folder}/`) },
  to: { path: npm(name) },
}));

const rules = [
  {
    name: 'no-cycles',
    comment:
      'Two modules that import each other are one module, and neither can be understood or loaded alone.',
    severity: 'error',
    from: {},
    to: { circular: true },
  },
  {
    name: 'resolvable',
    comment: 'An import that leads nowhere fails at run time, where type stripping no longer helps.',
    severity: 'error',
    from: {},
    // The console is resolved by Vite, which knows more kinds of modules.
    to: { couldNotResolve: true, pathNot: ['^virtual:', '[.](css|svg|woff2)$'] },
  },
  {
    name: 'no-relative-import-across-packages',
    comment:
      'A package is entered by its name, through what its "exports" offers; its inside is its own business.',
    severity: 'error',
    from: { path: '^(packages|services)/([^/]+)/' },
    to: {
      path: '^(packages|services|test|tools)/',
      pathNot: '^$1/$2/',
      // An import by package name is not "local", although it ends in the same file.
      dependencyTypes: ['local'],
    },
  },
  {
    name: 'services-do-not-import-services',
    comment:
      'Services meet over gRPC and events, never in memory: they are deployed, scaled and broken one by one.',
    severity: 'error',
    from: { path: '^services/([^/]+)/' },
    to: { path: '^services/', pathNot: '^services/$1/' },
  },
  {
    name: 'packages-do-not-import-services',
    comment: 'A package that knows a service cannot be used by the next one.',
    severity: 'error',
    from: { path: '^packages/[^/]+/src/', pathNot: '^packages/cli/src/config/schemas[.]ts$' },
    to: { path: '^services/' },
  },
  {
    name: 'cli-knows-schemas-only',
    comment:
      'Whoever changes settings checks them by the schemas of the services, whether those run or not; a schema is all it takes.',
    severity: 'error',
    from: { path: '^packages/cli/src/' },
    to: { path: '^services/', pathNot: '^services/[^/]+/src/config[.]ts$' },
  },
  {
    name: 'domain-is-pure',
    comment:
      'Business rules are functions over plain data: no adapter, framework or client decides what they mean.',
    severity: 'error',
    from: { path: '^services/([^/]+)/src/domain/' },
    to: { pathNot: ['^services/$1/src/domain/', '^packages/(sync-core|contracts)/'] },
  },
  {
    name: 'app-knows-ports-only',
    comment:
      'A use case says what it needs in ports.ts; that it runs on Postgres or NATS is decided in compose.ts.',
    severity: 'error',
    from: { path: '^services/([^/]+)/src/app/' },
    to: {
      pathNot: [
        '^services/$1/src/(app|domain)/',
        '^packages/(sync-core|contracts|service-kit|telemetry|rpc)/',
        // What a saga is, as data; who runs it is for compose.ts.
        '^packages/saga/src/definition[.]ts$',
        '^(node:)?(crypto|events|timers/promises)$',
        // For ids that follow from names (v5), random ones are arguments; and for the schemas of a saga's steps.
        npm('uuid|zod'),
      ],
    },
  },
  {
    name: 'app-takes-types-of-rpc',
    comment:
      'A use case hands the CallContext on (who, until when), so it names the type; making one is for compose.ts.',
    severity: 'error',
    from: { path: '^services/([^/]+)/src/app/' },
    to: { path: '^packages/rpc/', dependencyTypesNot: ['type-only'] },
  },
  {
    name: 'edges-do-not-import-each-other',
    comment:
      'Adapters, gRPC and HTTP are the edges of one application; what they share belongs into app/ or domain/.',
    severity: 'error',
    from: { path: '^services/([^/]+)/src/(adapters|grpc|http)/' },
    to: { path: '^services/$1/src/(adapters|grpc|http)/', pathNot: '^services/$1/src/$2/' },
  },
  {
    name: 'only-compose-joins',
    comment:
      'One file makes the adapters and puts them together (a big one by its parts, in compose/), so one file shows what a service is made of.',
    severity: 'error',
    from: { path: '^services/([^/]+)/src/(?!compose\\.ts|compose/|main\\.ts|index\\.ts)' },
    to: { path: '^services/$1/src/((compose|main)\\.ts$|compose/)' },
  },
  {
    name: 'no-test-code-in-the-product',
    comment: 'What ships must not need what only tests have.',
    severity: 'error',
    from: {
      path: '^(packages|services)/[^/]+/src/',
      pathNot: ['/src/(testing(/|[.]ts$)|global-setup[.]ts$)', '^packages/testkit/'],
    },
    to: {
      path: [
        testCode,
        '^packages/testkit/',
        '^packages/[^/]+/src/testing(/|[.]ts$)',
        npm('vitest|fast-check'),
      ],
    },
  },
  {
    name: 'tools-stand-alone',
    comment:
      'The tools check the product; they must work when it does not. Reference pages are made from it and a release is one of it, each in a process of its own, and tests may compare with it.',
    severity: 'error',
    from: { path: '^tools/', pathNot: '^tools/(reference|release|test)/' },
    to: { path: '^(packages|services|test)/' },
  },
];

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [...rules, ...packageLayers, ...clientOwners],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    // Types are dependencies too: a domain type from an adapter ties the two together as well as a function.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
      extensions: ['.ts', '.mjs', '.js', '.vue', '.json'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
