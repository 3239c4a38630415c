#!/usr/bin/env node
// Proves the properties of symbolic/ for all arguments within their bounds, and compares them with symbolic.md, which says
// what each of them means. Exit code 1 if one is not proved, or if the list is not that of the proofs.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);
const REPORT = at('cache', 'symbolic', 'report.json');

// A wrong assertion, an overflow and a division by zero are what must not be possible.
const PANICS = '0x01,0x11,0x12';

function prove() {
  fs.mkdirSync(path.dirname(REPORT), { recursive: true });
  fs.rmSync(REPORT, { force: true });
  const options = {
    root: '.',
    'forge-build-out': 'cache/symbolic/out',
    'storage-layout': 'generic',
    'panic-error-codes': PANICS,
    // Far more than any proof takes here; Halmos counts what is not decided by then as a failure.
    'solver-timeout-assertion': '120s',
    loop: '20',
    'solver-command': `"${at('.venv', 'bin', 'python')}" "${at('tools', 'smt.py')}"`,
    'json-output': REPORT,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const run = spawnSync(at('.venv', 'bin', 'halmos'), [...args, '--no-status'], {
    cwd: root,
    encoding: 'utf8',
    // Halmos builds with Forge, which it looks for on the path.
    env: { ...process.env, FOUNDRY_PROFILE: 'symbolic', PATH: `${at('tools')}:${process.env.PATH}`, NO_COLOR: '1' },
    maxBuffer: 1 << 28,
  });
  const output = run.stdout + run.stderr;
  if (!fs.existsSync(REPORT)) {
    console.error(output);
    process.exit(1);
  }
  const results = Object.entries(JSON.parse(fs.readFileSync(REPORT, 'utf8')).test_results);
  const checks = results.flatMap(([contract, tests]) =>
    tests.map((test) => ({
      name: `${contract.split(':')[1].replace(/Proofs$/, '')}.${test.name.match(/^check_(\w+)/)[1]}`,
      proved: test.exitcode === 0 && !(test.num_bounded_loops > 0),
    })),
  );
  return { checks, output };
}

/** The properties that symbolic.md explains: a line "- `Library.Property`: …" each. */
function explanations() {
  const lines = fs.readFileSync(at('symbolic.md'), 'utf8').split('\n');
  return new Set(lines.map((line) => line.match(/^- `(\w+\.\w+)`: \S/)?.[1]).filter(Boolean));
}

/** The properties that the sources state, so that one which Halmos passes over is missed. */
function stated() {
  const files = fs.readdirSync(at('symbolic')).filter((name) => name.endsWith('.t.sol')).sort();
  return files.flatMap((file) =>
    [...fs.readFileSync(at('symbolic', file), 'utf8').matchAll(/function check_(\w+)/g)].map(([, name]) => `${file.replace('.t.sol', '')}.${name}`),
  );
}

const { checks, output } = prove();
const proved = new Set(checks.filter((check) => check.proved).map((check) => check.name));
const open = stated().filter((name) => !proved.has(name));
const explained = explanations();
const silent = stated().filter((name) => !explained.has(name));
const stale = [...explained].filter((name) => !stated().includes(name));

if (open.length > 0) console.error(output);
for (const name of open) console.error(`not proved: ${name}`);
for (const name of silent) console.error(`not explained in symbolic.md: ${name}`);
for (const name of stale) console.error(`symbolic.md explains what is not stated any more: ${name}`);
console.log(`halmos: ${proved.size} of ${stated().length} properties proved`);
process.exitCode = open.length + silent.length + stale.length > 0 ? 1 : 0;
