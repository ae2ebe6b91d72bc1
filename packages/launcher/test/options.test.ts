import { describe, expect, it } from 'vitest';
import { help, readOptions, UsageError } from '../src/options.ts';

const refusal = (args: readonly string[], env = {}): string => {
  try {
    readOptions(args, env);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
};

describe('the command line', () => {
  it('needs nothing', () => {
    expect(readOptions([], { XDG_DATA_HOME: '/somewhere' })).toEqual({
      mesh: false,
      json: false,
      help: false,
      port: 8002,
      grpcPort: 8100,
      managementPort: 9464,
      dataDir: process.getuid?.() === 0 ? '/var/lib/skein' : '/somewhere/skein',
    });
  });

  it('goes over the environment', () => {
    const env = { PORT: '9000', SKEIN_DATA_DIR: '/elsewhere' };
    expect(readOptions([], env)).toMatchObject({ port: 9000, dataDir: '/elsewhere' });
    const args = ['--port', '9001', '--data-dir', '/here', '--mesh', '--json'];
    expect(readOptions(args, env)).toMatchObject({ port: 9001, dataDir: '/here', mesh: true, json: true });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(readOptions([], { PORT: '', SKEIN_DATA_DIR: '', XDG_DATA_HOME: '' }).port).toBe(8002);
  });

  it.each([
    [['--prot', '1'], "Unknown option '--prot' (see --help)"],
    [['now'], "Unexpected argument 'now' (see --help)"],
    [['--port'], "Option '--port <value>' argument missing (see --help)"],
    [['--port', '80a'], '--port must be a port from 1 to 65535, not "80a"'],
    [['--port', '0'], '--port must be a port from 1 to 65535, not "0"'],
    [['--grpc-port', '70000'], '--grpc-port must be a port from 1 to 65535, not "70000"'],
    [['--grpc-port', '65532'], '--grpc-port is too high: gRPC of agent would be at port 65536'],
    [
      ['--port', '8003', '--management-port', '8003'],
      'the public address and management of gateway would both be at port 8003: choose another --management-port',
    ],
  ])('refuses %j with one sentence', (args, sentence) => {
    expect(refusal(args)).toBe(sentence);
  });

  it('names the variable when that is what is wrong', () => {
    expect(refusal([], { PORT: 'http' })).toBe('PORT must be a port from 1 to 65535, not "http"');
  });

  it('knows that the second instances of a mesh need ports too', () => {
    expect(() => readOptions(['--port', '65530'], {})).not.toThrow();
    expect(refusal(['--port', '65530', '--mesh'])).toBe(
      '--port is too high: the public address would be at port 65540',
    );
  });

  it('is described in full by --help', () => {
    for (const option of ['mesh', 'port', 'grpc-port', 'management-port', 'data-dir', 'json', 'help'])
      expect(help).toContain(`--${option}`);
  });
});
