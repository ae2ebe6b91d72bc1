import { AppError } from '@skein/contracts';
import type { RequestHandler } from 'express';

/** Paths of the contract whose capability is not here yet: they answer 501, so a client can tell them from typos. */
const reserved: readonly { readonly methods: readonly string[]; readonly path: RegExp }[] = [
  {
    methods: ['POST'],
    path: /^\/v1\/auth\/(?:verify-email|forgot-password|reset-password|change-password)$/,
  },
  {
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    path: /^\/v1\/spaces\/[^/]+\/(?:files|kb|tasks|datasets)(?:\/.*)?$/,
  },
  {
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    path: /^\/v1\/(?:memory|agents|backups|admin)(?:\/.*)?$/,
  },
];

/** Answers 501 `not_implemented` for reserved paths. */
export const reservedPaths: RequestHandler = (req, _res, next) => {
  const known = reserved.some(({ methods, path }) => methods.includes(req.method) && path.test(req.path));
  if (known) throw new AppError('not_implemented', 'This part of the API is not available yet');
  next();
};
