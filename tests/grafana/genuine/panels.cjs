// Runs panels through Grafana's own transformations and field configuration.
//   node panels.cjs VERSION < [{title, type, options, fieldConfig, transformations, frames}, ...]
// Writes for each panel its tables of texts as they are shown, its numbers as a stat shows them, the bins of a
// histogram, and the overrides that fit no field.
'use strict';

const path = require('path');
const { createRequire } = require('module');

const load = createRequire(path.join(process.cwd(), 'package.json'));
const OLD = process.argv[2].startsWith('10.');
const browser = { window: {}, navigator: { language: 'en-GB', languages: ['en-GB'] } };
if (OLD) {
  Object.assign(globalThis, browser); // 10.4 looks there while it loads; newer ones would take this for a whole browser
}
const data = load(`data-${process.argv[2]}`);
Object.assign(globalThis, browser);
const { lastValueFrom } = load('rxjs');

const SETTINGS = [
  'unit', 'min', 'max', 'decimals', 'displayName', 'color', 'mappings', 'thresholds', 'links', 'noValue',
];
const CUSTOM = [
  'width', 'minWidth', 'cellOptions', 'drawStyle', 'lineStyle', 'lineWidth', 'showPoints',
];

function setting(id, custom) {
  return {
    id: custom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom: custom,
    override: () => null,
    editor: () => null,
    process: (value) => value,
    shouldApply: () => true,
    getItemsCount: () => 0,
  };
}

function registry() {
  const found = new data.FieldConfigOptionsRegistry();
  SETTINGS.forEach((id) => found.register(setting(id, false)));
  CUSTOM.forEach((id) => found.register(setting(id, true)));
  return found;
}

data.standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(data.standardTransformers).map((t) => [t.id, t])).values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: OLD ? transformation : async () => transformation,
  }))
);

const theme = data.createTheme();
const replaceVariables = (text) => text;

function display(field, value) {
  return data.formattedValueToString(field.display(value));
}

function unknown(panel) {
  const ids = (panel.transformations ?? []).map((t) => t.id);
  const settings = panel.fieldConfig.overrides.flatMap((o) => o.properties.map((p) => p.id));
  const known = new Set([...SETTINGS, ...CUSTOM.map((id) => `custom.${id}`)]);
  return [
    ...ids.filter((id) => !data.standardTransformersRegistry.getIfExists(id)),
    ...settings.filter((id) => !known.has(id)),
  ];
}

function fresh(frame) {
  return { ...frame, fields: frame.fields.map((field) => ({ ...field, state: undefined })) };
}

function unmatched(panel, frames) {
  return panel.fieldConfig.overrides
    .filter(({ matcher }) => {
      const matches = data.fieldMatchers.get(matcher.id).get(matcher.options);
      return !frames.some((frame) => frame.fields.some((field) => matches(field, frame, frames)));
    })
    .map(({ matcher }) => matcher.options);
}

function histogram(panel, frames) {
  const { bucketSize, bucketOffset, combine } = panel.options;
  const found = data.buildHistogram(frames, { bucketSize, bucketOffset, combine }, theme);
  if (!found) {
    return [];
  }
  const frame = data.histogramFieldsToFrame(found, theme);
  return frame.fields.map((field) => ({
    name: data.getFieldDisplayName(field, frame),
    values: Array.from(field.values),
    texts: Array.from(field.values, (value) => display({ display: field.display ?? data.getDisplayProcessor({ field, theme }) }, value)),
  }));
}

async function shown(panel) {
  const answers = panel.frames.map((frame) => data.toDataFrame(frame));
  const observable = data.transformDataFrame(panel.transformations ?? [], answers, { interpolate: replaceVariables });
  const transformed = await lastValueFrom(observable);
  const missed = unmatched(panel, transformed.map(data.toDataFrame).map(fresh));
  const frames = data.applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry(),
    replaceVariables,
    theme,
    timeZone: 'utc',
  });
  const tables = frames.map((frame) =>
    frame.fields.map((field) => ({
      name: data.getFieldDisplayName(field, frame, frames),
      type: field.type,
      texts: Array.from(field.values, (value) => display(field, value)),
    }))
  );
  const stats =
    panel.type === 'stat'
      ? data
          .getFieldDisplayValues({
            fieldConfig: panel.fieldConfig,
            reduceOptions: panel.options.reduceOptions,
            replaceVariables,
            theme,
            data: frames,
            timeZone: 'utc',
          })
          .map(({ display: found }) => [found.title, data.formattedValueToString(found)])
      : [];
  return {
    title: panel.title,
    tables,
    stats,
    bins: panel.type === 'histogram' ? histogram(panel, frames) : [],
    unmatched: missed,
    unknown: unknown(panel),
  };
}

async function main() {
  let text = '';
  for await (const piece of process.stdin) {
    text += piece;
  }
  process.stdout.write(JSON.stringify(await Promise.all(JSON.parse(text).map(shown))));
}

main();
