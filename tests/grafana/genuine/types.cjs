// Compares dashboards with the types of Grafana's schema.
//   node types.cjs VERSION < [dashboard, ...]
// Writes what TypeScript finds wrong, each once: which part, and its message.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const load = createRequire(path.join(process.cwd(), 'package.json'));
const ts = load('typescript');

const BASE = ['types', 'esm']
  .map((part) => path.join(process.cwd(), 'node_modules', `schema-${process.argv[2]}`, 'dist', part))
  .find((folder) => fs.existsSync(path.join(folder, 'veneer', 'dashboard.types.d.ts')));
const CHECKED = path.join(BASE, 'checked.ts');
const ENUM = /export declare enum (\w+) \{([\s\S]*?)\n\}/g;

// A text is no member of an enum to TypeScript: as types of texts and numbers they say the same.
function withoutEnums(text) {
  return text.replace(ENUM, (_, name, body) => {
    const members = [...body.matchAll(/^\s*(\w+) = ("[^"]*"|-?\d+)/gm)];
    const types = members.map(([, key, value]) => `type ${key} = ${value};`).join(' ');
    return `export type ${name} = ${members.map(([, , value]) => value).join(' | ')};
export declare namespace ${name} { ${types} }`;
  });
}

function configuration(plugin) {
  const folder = path.join(BASE, 'raw', 'composable', plugin, 'panelcfg', 'x');
  const file = fs.existsSync(folder) && fs.readdirSync(folder).find((name) => /types\.gen\.d\.ts$/.test(name));
  return file ? `./raw/composable/${plugin}/panelcfg/x/${file.replace(/\.d\.ts$/, '')}` : undefined;
}

function program(dashboards) {
  const lines = ["import type { Dashboard } from './veneer/dashboard.types';"];
  const parts = new Map();
  const add = (part, type, value) => {
    const literal = `: ${type} = ${JSON.stringify(value)};`;
    if (!parts.has(literal)) {
      lines.push(`const _${parts.size}${literal}`);
      parts.set(literal, part);
    }
  };
  const panels = dashboards.flatMap((dashboard) => dashboard.panels);
  for (const plugin of new Set(panels.map((panel) => panel.type))) {
    const file = configuration(plugin);
    if (!file) {
      continue;
    }
    lines.push(`import type * as ${plugin} from '${file}';`);
    const text = fs.readFileSync(path.join(BASE, `${file}.d.ts`), 'utf8');
    for (const panel of panels.filter(({ type }) => type === plugin)) {
      add(`options of ${plugin}`, `Partial<${plugin}.Options>`, panel.options);
      if (/interface FieldConfig\b|type FieldConfig\b/.test(text)) {
        add(`custom of ${plugin}`, `Partial<${plugin}.FieldConfig>`, panel.fieldConfig.defaults.custom ?? {});
      }
    }
  }
  for (const { panels: own, templating, annotations, links, ...dashboard } of dashboards) {
    add('dashboard', 'Dashboard', dashboard);
    add('links', "Dashboard['links']", links);
    own.forEach((panel) => add('panel', "NonNullable<Dashboard['panels']>[0]", { ...panel, targets: [] }));
    templating.list.forEach((variable) => add('variable', "NonNullable<NonNullable<Dashboard['templating']>['list']>[0]", variable));
    annotations.list.forEach((mark) => add('annotation', "NonNullable<NonNullable<Dashboard['annotations']>['list']>[0]", { ...mark, target: undefined }));
  }
  lines.push('export {};');
  return { text: lines.join('\n'), parts: [...parts.values()] };
}

const OPTIONS = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
  lib: ['lib.es2020.d.ts'],
  target: ts.ScriptTarget.ES2020,
  moduleResolution: ts.ModuleResolutionKind.Node10,
};

// The common types are all that the types of panels take from the whole package.
function compilerHost(text) {
  const host = ts.createCompilerHost(OPTIONS);
  const read = host.getSourceFile.bind(host);
  const exists = host.fileExists.bind(host);
  host.fileExists = (name) => name === CHECKED || exists(name);
  host.getSourceFile = (name, language) => {
    if (name === CHECKED) {
      return ts.createSourceFile(name, text, language, true);
    }
    return name.startsWith(BASE)
      ? ts.createSourceFile(name, withoutEnums(fs.readFileSync(name, 'utf8')), language)
      : read(name, language);
  };
  host.resolveModuleNames = (names, file) =>
    names.map((name) => {
      const wanted = name.replace(/\.[mc]?js$/, '');
      const target = name === '@grafana/schema' ? path.join(BASE, 'common', 'common.gen') : path.resolve(path.dirname(file), wanted);
      const found = [`${target}.d.ts`, path.join(target, 'index.d.ts')].find(exists);
      return found && { resolvedFileName: found, extension: ts.Extension.Dts };
    });
  return host;
}

const UNKNOWN_PROPERTY = [2353, 2561];

// TypeScript names one unknown property of an object at a time: blank those, and look again.
function check(text, parts) {
  const found = new Set();
  let previous;
  for (;;) {
    const compiled = ts.createProgram([CHECKED], OPTIONS, compilerHost(text), previous);
    const source = compiled.getSourceFile(CHECKED);
    const wrong = [...compiled.getSyntacticDiagnostics(source), ...compiled.getSemanticDiagnostics(source)];
    let blanked = text;
    for (const { code, start, messageText } of wrong) {
      const line = text.slice(text.lastIndexOf('\n', start) + 1, text.indexOf('\n', start));
      const number = /^const _(\d+):/.exec(line)?.[1];
      const message = ts.flattenDiagnosticMessageText(messageText, ' ').replace(/\s+/g, ' ');
      found.add(`${number === undefined ? line : parts[number]}: ${message}`);
      if (UNKNOWN_PROPERTY.includes(code)) {
        let node = ts.getTokenAtPosition(source, start);
        while (!ts.isPropertyAssignment(node)) {
          node = node.parent;
        }
        const end = text[node.end] === ',' ? node.end + 1 : node.end;
        blanked = blanked.slice(0, node.getStart()) + ' '.repeat(end - node.getStart()) + blanked.slice(end);
      }
    }
    if (blanked === text) {
      return [...found].sort();
    }
    [text, previous] = [blanked, compiled];
  }
}

const { text, parts } = program(JSON.parse(fs.readFileSync(0, 'utf8')));
process.stdout.write(JSON.stringify(check(text, parts)));
