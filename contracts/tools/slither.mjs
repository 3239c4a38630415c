#!/usr/bin/env node
// Runs Slither and compares its findings of high and medium impact with slither.md, which says of each why it is harmless.
// Exit code 1 if one is not explained there, if an explanation has no finding any more, or if a function was not analysed.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);
const REPORT = at('cache', 'slither.json');

/** Slither builds with Forge, which it looks for on the path. */
function analyse() {
  fs.mkdirSync(path.dirname(REPORT), { recursive: true });
  fs.rmSync(REPORT, { force: true });
  const run = spawnSync(at('.venv', 'bin', 'slither'), ['.', '--config-file', 'slither.config.json', '--json', REPORT], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, FOUNDRY_PROFILE: 'slither', PATH: `${at('tools')}:${process.env.PATH}` },
  });
  const report = fs.existsSync(REPORT) ? JSON.parse(fs.readFileSync(REPORT, 'utf8')) : {};
  // What it cannot read it leaves out, and says so on standard error alone.
  const unread = run.stderr.split('\n').filter((line) => /Impossible to generate IR|Failed to generate IR/.test(line));
  if (!report.success || unread.length > 0) {
    console.error(unread.length > 0 ? unread.join('\n') : run.stderr);
    process.exit(1);
  }
  return report.results.detectors ?? [];
}

/** A finding by what stays when lines move: its detector, its function and the statement it is about. */
function describe(finding) {
  const [first] = finding.elements;
  const statement = finding.elements.filter((element) => element.type === 'node').at(-1) ?? first;
  const parent = first.type_specific_fields?.parent?.name;
  const place = parent === undefined ? first.name : `${parent}.${first.name}`;
  const { filename_relative: file, lines } = statement.source_mapping;
  return {
    key: `${finding.check}: ${place}\n${statement.name}`,
    text: `${finding.impact} (${file}:${lines[0]})\n\n### ${finding.check}: ${place}\n- \`${statement.name}\`: `,
  };
}

/** The explanations: below a heading "### detector: Contract.function" one line "- `statement`: reason" each. */
function explanations() {
  const keys = new Set();
  let heading = '';
  for (const line of fs.readFileSync(at('slither.md'), 'utf8').split('\n')) {
    if (line.startsWith('### ')) heading = line.slice(4);
    const entry = line.match(/^- `(.+?)`: \S/);
    if (entry) keys.add(`${heading}\n${entry[1]}`);
  }
  return keys;
}

const findings = analyse().map(describe);
const explained = explanations();
const found = new Set(findings.map((finding) => finding.key));
const open = findings.filter((finding) => !explained.has(finding.key));
const stale = [...explained].filter((key) => !found.has(key));

for (const finding of open) console.error(`not explained in slither.md: ${finding.text}\n`);
for (const key of stale) console.error(`slither.md explains what is not found any more: ${key.replace('\n', ', ')}`);
console.log(`slither: ${findings.length} findings of high or medium impact, ${open.length} not explained, ${stale.length} stale`);
process.exitCode = open.length + stale.length > 0 ? 1 : 0;
