// Renders /openapi.json. Everything is set as text, never as markup.

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

/** A schema as a shape people read: {"id": "string", "next?": "string"}. */
const shapeOf = (schema, schemas, depth = 0) => {
  if (!schema || depth > 6) return '…';
  if (schema.$ref) return shapeOf(schemas[schema.$ref.split('/').at(-1)], schemas, depth);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((one) => shapeOf(one, schemas, depth + 1));
  if (schema.type === 'array') return [shapeOf(schema.items, schemas, depth + 1)];
  if (schema.properties) {
    const required = new Set(schema.required ?? []);
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [
        required.has(name) ? name : `${name}?`,
        shapeOf(inner, schemas, depth + 1),
      ]),
    );
  }
  return schema.format ?? schema.type ?? 'any JSON';
};

const block = (title, schema, schemas) => {
  const part = make('section');
  part.append(make('h3', '', title), make('pre', '', JSON.stringify(shapeOf(schema, schemas), null, 2)));
  return part;
};

const parameterTable = (parameters) => {
  const table = make('table');
  for (const one of parameters) {
    const row = make('tr');
    const kind = one.schema.type ?? 'string';
    row.append(
      make('td', '', `${one.name}${one.required ? '' : '?'}`),
      make('td', '', `${one.in}, ${kind}`),
      make('td', '', one.description ?? ''),
    );
    table.append(row);
  }
  return table;
};

const renderCall = (method, path, call, schemas) => {
  const details = make('details');
  const summary = make('summary');
  summary.append(
    make('span', 'method', method.toUpperCase()),
    make('span', 'path', path),
    make('span', 'what', call.summary),
  );
  const body = make('div', 'body');
  const scope = call['x-scope'];
  const who = call.security.length === 0 ? 'Anybody.' : scope ? `Scope ${scope}.` : 'Signed in.';
  body.append(make('p', '', who));
  if (call.parameters.length > 0) body.append(make('h3', '', 'Parameters'), parameterTable(call.parameters));
  const request = call.requestBody?.content?.['application/json']?.schema;
  if (request) body.append(block('Body', request, schemas));
  for (const [status, answer] of Object.entries(call.responses)) {
    const [content] = Object.values(answer.content ?? {});
    if (status !== 'default')
      body.append(block(`Answer ${status}`, content?.schema ?? { type: 'nothing' }, schemas));
  }
  details.append(summary, body);
  details.dataset.text = `${method} ${path} ${call.summary}`.toLowerCase();
  return details;
};

const render = (document_) => {
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, call] of Object.entries(methods)) {
      const [tag] = call.tags;
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(renderCall(method, path, call, document_.components.schemas));
    }
  }
  const main = document.querySelector('#calls');
  main.replaceChildren();
  for (const [tag, calls] of groups) {
    const section = make('section');
    section.append(make('h2', '', tag), ...calls);
    main.append(section);
  }
  document.querySelector('#filter').addEventListener('input', (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const section of main.children) {
      let shown = 0;
      for (const call of section.querySelectorAll('details')) {
        call.hidden = !call.dataset.text.includes(wanted);
        if (!call.hidden) shown += 1;
      }
      section.hidden = shown === 0;
    }
  });
};

fetch('/openapi.json')
  .then((answer) => answer.json())
  .then(render)
  .catch(() => {
    document.querySelector('#calls').textContent = 'The description of the API could not be loaded.';
  });
