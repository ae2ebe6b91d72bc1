/** The trace a W3C `traceparent` belongs to. */
export const traceIdOf = (traceparent: string | undefined): string | undefined => traceparent?.slice(3, 35);
