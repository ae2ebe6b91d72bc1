// Runs in a pod: makes gRPC calls, one after the other, and prints what became of each. Its argument is a list of
// {address, authority, path, token, id}; every call has a connection of its own.
import { connect } from 'node:http2';

const timeoutMs = 10_000;

const call = ({ address, authority, path, token, id }) =>
  new Promise((resolve) => {
    const session = connect(`http://${address}`);
    const end = (result) => {
      clearTimeout(timer);
      session.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end({ error: 'no answer' }), timeoutMs);
    // Where the connection fails, the stream only says that it was cancelled, and why.
    const failed = (error) => end({ error: error.cause?.code ?? error.code ?? error.message });
    session.once('error', failed);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':authority': authority,
      'content-type': 'application/grpc',
      'grpc-timeout': `${timeoutMs}m`,
      te: 'trailers',
      'x-request-id': id,
      ...(token ? { authorization: token } : {}),
    });
    let found = {};
    const take = (headers) => {
      found = { ...found, ...headers };
    };
    stream.once('response', take);
    stream.once('trailers', take);
    stream.once('error', failed);
    stream.once('close', () =>
      end({
        http: found[':status'],
        status: Number(found['grpc-status'] ?? -1),
        message: decodeURIComponent(found['grpc-message'] ?? ''),
      }),
    );
    stream.resume();
    // An empty message: one byte of flags and four of length.
    stream.end(Buffer.alloc(5));
  });

const results = [];
for (const one of JSON.parse(process.argv[2])) results.push(await call(one));
process.stdout.write(JSON.stringify(results));
