#!/usr/bin/env node
// Mutation testing of the vault and the libraries: changes one small thing of the source at a time, in a copied tree, and
// runs the tests until one fails. A mutant that no test kills shows what is not tested; mutants.md explains each.
//
//   node tools/mutants.mjs              all mutants that are not judged yet, for hours
//   N=100 SEED=1 node tools/mutants.mjs so many of them, in an order that the seed tells
//   FILES=Slashing,Vault N=100 node …   only of these files, one after the other; N is of each
//   QUICK=1 FILES=… node …              without the tests of the arena: who survives the others is not judged
//   JOB=2 SEED=2 node …                 beside another run, in a tree of its own
//   REPORT=1 node tools/mutants.mjs     judges none: compares mutants.md with mutants.jsonl
//
// mutants.jsonl holds one line per mutant that was judged, in the order of the source, and is written after each of them, so that
// a run that was interrupted goes on, on any machine. A result holds for as long as the function in which the mutant stands is
// the same: a test that killed it stays, and a survivor that mutants.md explains is not looked at again. A result that holds no
// longer still counts until the mutant is judged again, so that nobody has to do that who changes a function.
//
// Exit code 1 if less than 90 % of the judged mutants of a file with at least ten were killed, if mutants.md does not explain
// exactly those that survived, or if its table is not that of mutants.jsonl: a run writes the table, a report only compares.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { apply, compile, mutants } from './mutations.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);
const tree = (...parts) => at('cache', 'mutants', `contracts${process.env.JOB ?? ''}`, ...parts);
const LEAST_RATE = 0.9;
// Of fewer mutants one survivor is too much, and says too little.
const LEAST_COUNT = 10;
// Of the processor: how busy the machine is must not decide.
const TIMEOUT_SECS = 900;
const REPORT = process.env.REPORT !== undefined;
const QUICK = process.env.QUICK !== undefined;

const libraries = fs.readdirSync(at('src', 'libraries')).sort().map((name) => `src/libraries/${name}`);
const FILES = ['src/Vault.sol', ...libraries];
const CHOSEN = process.env.FILES?.split(',').map((name) => FILES.find((file) => path.basename(file, '.sol') === name));
if (CHOSEN?.includes(undefined)) throw new Error(`FILES are some of ${FILES.map((file) => path.basename(file, '.sol')).join(',')}`);

// The stages of a mutant, the fastest first: each has the tests of `only`, and a build of its own. Forge is given no filter,
// because it would ask the compiler for all interfaces in order to apply it.
const HARNESS = {
  name: 'harness',
  only: /^Libraries\.sol$/,
  // The optimizer takes longer than the tests do.
  env: { FOUNDRY_SRC: 'harness/harness', FOUNDRY_OPTIMIZER: 'false' },
};
// They are made of one library, without the vault.
const CHECKPOINTS = { name: 'checkpoints', only: /^Checkpoints\.t\.sol$/, env: { FOUNDRY_SRC: 'none' } };
const OF_VAULT = '(Vault|Checkpoints|attacks\\/Vault(?!Re))';
// Without the arena, and without the IR pipeline: they take longest.
const VAULT = {
  name: 'vault',
  profile: 'mutants_vault',
  only: new RegExp(`^${OF_VAULT}.*\\.t\\.sol$`),
  options: ['--skip', 'src/Arena.sol', '--skip', 'src/Settlement.sol'],
};
// Limits of gas are those of optimised code, which is not what is built here. One test reads the interfaces in `out`.
const REST = {
  name: 'rest',
  only: new RegExp(`^(?!${OF_VAULT}|gas\\/|attacks\\/(ArenaLarge|VaultRequests)).*\\.t\\.sol$`),
  env: { FOUNDRY_OUT: 'out' },
};
const STAGES = [HARNESS, CHECKPOINTS, VAULT, REST];
const FIRST = { Vault: [], Pools: [], Checkpoints: [CHECKPOINTS] };

function stagesOf(file) {
  const ofVault = reaches('src/Vault.sol', file) || reaches('src/Emission.sol', file);
  return [...(FIRST[path.basename(file, '.sol')] ?? [HARNESS]), ...(ofVault ? [VAULT] : []), ...(QUICK ? [] : [REST])];
}

// What is deployed, to find the mutants that are no change at all.
const DEPLOYED = ['src/Vault.sol', 'src/Emission.sol', 'src/Settlement.sol', 'src/Arena.sol', 'test/harness/LibraryHarness.sol'];
const DEPLOYMENT = { viaIR: true, optimizer: { enabled: true, runs: 100 }, metadata: { bytecodeHash: 'none', appendCBOR: false } };

const digest = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex');
const read = (file) => fs.readFileSync(at(file), 'utf8');

function copyTree() {
  for (const folder of ['src', 'test', 'tools']) copyFolder(folder, folder, () => true);
  // Besides its tests, a stage has what they import.
  for (const { name, only } of STAGES) copyFolder('test', name, (file) => only.test(file) || !/\.t\.sol$|^Libraries\.sol$/.test(file));
  fs.copyFileSync(at('foundry.toml'), tree('foundry.toml'));
  link(at('node_modules'), tree('node_modules'));
  link(at('..', 'vectors'), at('cache', 'mutants', 'vectors'));
}

function copyFolder(from, to, wanted) {
  fs.rmSync(tree(to), { recursive: true, force: true });
  const isWanted = (file) => fs.statSync(file).isDirectory() || wanted(path.relative(at(from), file));
  fs.cpSync(at(from), tree(to), { recursive: true, filter: isWanted });
}

function link(target, file) {
  if (!fs.existsSync(file)) fs.symlinkSync(target, file);
}

// One compiler for all mutants. It ends with this process, of which it holds a pipe.
const SOCKET = path.join(os.tmpdir(), `aiarena-solc-${process.pid}`);
async function startCompiler() {
  const server = spawn(process.execPath, [at('tools', 'solc-server.js'), SOCKET], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => server.stdout.once('data', resolve));
  for (const handle of [server, server.stdin, server.stdout]) handle.unref();
}

/** Runs one stage: `{failed}` names the first test that failed, or is undefined; `{invalid}` if nothing was built. */
function test({ name, profile = 'mutants', options = [], env = {} }) {
  const cache = `cache/${name}`;
  // Forge plays failures that it remembers first: those of another mutant say nothing.
  for (const file of ['cache/fuzz', 'cache/invariant', `${cache}/test-failures`]) fs.rmSync(tree(file), { recursive: true, force: true });
  const folders = { FOUNDRY_TEST: name, FOUNDRY_OUT: `${cache}/out`, FOUNDRY_CACHE_PATH: cache };
  const forge = [tree('tools', 'forge'), 'test', '--fail-fast', '--color', 'never', ...options];
  const run = spawnSync('sh', ['-c', `ulimit -S -t ${TIMEOUT_SECS}; exec "$0" "$@"`, ...forge], {
    encoding: 'utf8',
    env: { ...process.env, FOUNDRY_PROFILE: profile, SOLC_SOCKET: SOCKET, ...folders, ...env },
    maxBuffer: 1 << 28,
  });
  const output = run.stdout + run.stderr;
  if (run.signal === 'SIGXCPU') return { failed: 'timeout' };
  if (/Compiler run failed/.test(output)) return { invalid: !/Stack too deep/.test(output), tooDeep: true };
  // The name of an invariant comes after the calls that broke it.
  const failed = output.match(/^\[FAIL.*\] (\w+)\(|^\[FAIL.*\n\s*\[Sequence\](?:.*\n)*? (\w+)\(/m)?.slice(1).find(Boolean) ??
    output.match(/^\[FAIL/m)?.[0];
  if (run.status !== 0 && failed === undefined) throw new Error(output);
  return { failed };
}

/** The creation bytecode of all that is deployed and made of `file`; nothing if that does not compile. */
function bytecode(file) {
  const contents = Object.fromEntries(DEPLOYED.filter((name) => reaches(name, file)).map((name) => [name, fs.readFileSync(tree(name), 'utf8')]));
  const output = compile(contents, { ...DEPLOYMENT, outputSelection: { '*': { '*': ['evm.bytecode.object'] } } }, tree());
  if (output.errors?.some((error) => error.severity === 'error')) return undefined;
  return digest(...Object.keys(contents).flatMap((name) => Object.values(output.contracts[name]).map((made) => made.evm.bytecode.object)));
}

/** Whether a file of the contracts is or imports another one. */
function reaches(from, to) {
  if (from === to) return true;
  const imports = [...read(from).matchAll(/from "(\.[^"]+)"/g)].map(([, target]) => path.posix.join(path.posix.dirname(from), target));
  return imports.some((target) => reaches(target, to));
}

const unchanged = new Map();
function isUnchanged(file, source) {
  const mutated = bytecode(file);
  if (!unchanged.has(file)) {
    const kept = fs.readFileSync(tree(file), 'utf8');
    fs.writeFileSync(tree(file), source);
    unchanged.set(file, bytecode(file));
    fs.writeFileSync(tree(file), kept);
  }
  return mutated === unchanged.get(file);
}

/** `killed`, `survived`, `invalid` (it does not compile), `same` (its bytecode is that of the source) or, if quick, `open`. */
function judge(mutant, source) {
  try {
    for (const stage of stagesOf(mutant.file)) {
      write(stage);
      demandPasses(stage);
      write(stage, mutant.file, apply(source, mutant));
      const { failed, invalid } = test(stage);
      if (invalid) return { verdict: 'invalid' };
      if (failed !== undefined) return { verdict: 'killed', by: failed };
    }
    if (QUICK) return { verdict: 'open' };
    return { verdict: isUnchanged(mutant.file, source) ? 'same' : 'survived' };
  } finally {
    write(REST);
  }
}

// The functions that the pipeline of the vault's stage can compile only if their local variables are in memory.
const SPILLED = { 'src/Vault.sol': ['slash', 'undelegate'], 'src/libraries/Pools.sol': ['move'] };

/** Writes the source as it is, but for `file`, in the form that a stage can compile. */
function write(stage, file, content) {
  for (const name of FILES) {
    const own = name === file ? content : sources.get(name);
    const form = stage === VAULT ? (SPILLED[name] ?? []).reduce(spill, own) : own;
    if (fs.readFileSync(tree(name), 'utf8') !== form) fs.writeFileSync(tree(name), form);
  }
}

/** A contract with the local variables of one of its functions, if they are of elementary types, in a struct in memory. */
function spill(source, name) {
  const start = source.lastIndexOf('\n', source.indexOf(`function ${name}(`)) + 1;
  const body = source.indexOf('{\n', start) + 2;
  const end = source.indexOf('\n    }\n', body);
  const fields = [];
  let spilled = source.slice(body, end).replaceAll(/(^ +|\(|, )(u?int\d+|bool|address) (\w+)(?=[,);]| =)/gm, (_, before, type, local) => {
    fields.push({ type, local });
    return before + local;
  });
  for (const { local } of fields) spilled = spilled.replaceAll(new RegExp(`(?<![.\\w])${local}(?!\\w)`, 'g'), `spilled.${local}`);
  const struct = `    struct Of_${name} { ${fields.map(({ type, local }) => `${type} ${local};`).join(' ')} }\n`;
  return source.slice(0, start) + struct + source.slice(start, body) + `        Of_${name} memory spilled;\n` + spilled + source.slice(end);
}

/** A stage counts if the source as it is passes it. That is looked at when the first mutant comes to it. */
const passed = new Set();
function demandPasses(stage) {
  if (passed.has(stage)) return;
  const { failed, invalid, tooDeep } = test(stage);
  if (failed !== undefined || invalid || tooDeep) throw new Error(`the source as it is fails: ${failed ?? 'it does not compile'}`);
  passed.add(stage);
}

/** The explanations: below a heading "### Contract.function" one line "- `line` → `mutated line`: reason" each. */
function explanations() {
  const keys = new Set();
  let heading = '';
  if (!fs.existsSync(at('mutants.md'))) return keys;
  for (const line of read('mutants.md').split('\n')) {
    if (line.startsWith('### ')) heading = line.slice(4);
    const entry = line.match(/^- (`.+?` → `.+?`): \S/);
    if (entry) keys.add(`${heading}: ${entry[1]}`);
  }
  return keys;
}

const nameOf = (mutant) => `${mutant.place}: \`${mutant.before}\` → \`${mutant.after}\``;
const withoutNumber = (key) => key.replace(/ #\d+$/, '');
const seed = process.env.SEED ?? '1';
const wanted = REPORT ? 0 : Number(process.env.N ?? Infinity);

const sources = new Map(FILES.map((file) => [file, read(file)]));
const all = FILES.flatMap((file) => mutants(file, sources.get(file)));
const seen = new Map();
for (const mutant of all) {
  // The same change may be possible twice in a line.
  const count = (seen.get(nameOf(mutant)) ?? 0) + 1;
  seen.set(nameOf(mutant), count);
  mutant.key = count === 1 ? nameOf(mutant) : `${nameOf(mutant)} #${count}`;
  mutant.scope = digest(mutant.scope).slice(0, 12);
}

// ------------------------------------------------------------------ the results

const RESULTS = 'mutants.jsonl';
const explained = explanations();

/** What is known: the number of mutants of each file, and the result of each that was judged. */
function readResults() {
  if (!fs.existsSync(at(RESULTS))) return { counts: {}, results: new Map() };
  const [first, ...rest] = read(RESULTS).split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { counts: first.mutants, results: new Map(rest.map((result) => [result.key, result])) };
}

/** Another run may have written meanwhile. What the source no longer holds is left out. */
function record(result) {
  const { results } = readResults();
  if (result) results.set(result.key, result);
  const counts = Object.fromEntries(FILES.map((file) => [file, all.filter((mutant) => mutant.file === file).length]));
  const lines = [{ mutants: counts }, ...all.map(({ key }) => results.get(key)).filter(Boolean)];
  const temporary = at(`${RESULTS}.${process.pid}`);
  fs.writeFileSync(temporary, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  fs.renameSync(temporary, at(RESULTS));
}

const holds = (mutant, result) => result?.scope === mutant.scope;
const isSettled = (mutant, result) => holds(mutant, result) && (result.verdict !== 'survived' || explained.has(withoutNumber(mutant.key)));

if (wanted > 0) {
  fs.mkdirSync(tree(), { recursive: true });
  copyTree();
  await startCompiler();
}
if (!REPORT) {
  const order = new Map(all.map((mutant) => [mutant, digest(seed, mutant.key)]));
  const shuffled = [...all].sort((a, b) => (order.get(a) < order.get(b) ? -1 : 1));
  const queues = CHOSEN?.map((chosen) => shuffled.filter(({ file }) => file === chosen)) ?? [shuffled];
  for (const queue of queues) judgeAll(queue);
  record();
}

/** Judges as many of a queue as are wanted, last those that survived without an explanation: there may be a test now. */
function judgeAll(queue) {
  const { results } = readResults();
  const open = queue.filter((mutant) => !isSettled(mutant, results.get(mutant.key)));
  const isNew = (mutant) => !holds(mutant, results.get(mutant.key));
  const next = [...open.filter(isNew), ...open.filter((mutant) => !isNew(mutant))].slice(0, wanted);
  next.forEach((mutant, i) => {
    // Another run may have judged it meanwhile.
    if (JSON.stringify(readResults().results.get(mutant.key)) !== JSON.stringify(results.get(mutant.key))) return;
    const started = Date.now();
    const { verdict, by } = judge(mutant, sources.get(mutant.file));
    if (verdict !== 'open') record({ key: mutant.key, verdict, by, scope: mutant.scope });
    const seconds = Math.round((Date.now() - started) / 1000);
    console.log(`${i + 1} of ${next.length}: ${verdict} in ${seconds} s${by ? ` by ${by}` : ''}: ${mutant.file}:${mutant.line} ${mutant.key}`);
  });
}

// ------------------------------------------------------------------ the report

const { counts, results } = readResults();
const complaints = [];
const rows = [...FILES, undefined].map(row);

/** A line of the table: of a file, or of all of them. */
function row(file) {
  const own = [...results.values()].filter(({ key }) => file === undefined || key.split(/[.:]/)[0] === path.basename(file, '.sol'));
  const count = (verdict) => own.filter((result) => result.verdict === verdict).length;
  const [killed, survived, none] = [count('killed'), count('survived'), count('invalid') + count('same')];
  const inAll = Object.entries(counts).reduce((sum, [name, number]) => sum + (file === undefined || name === file ? number : 0), 0);
  const rate = killed / (killed + survived);
  if (killed + survived >= LEAST_COUNT && rate < LEAST_RATE) complaints.push(`too few were killed of ${file ?? 'all'}`);
  const percent = killed + survived === 0 ? '' : `${(100 * rate).toFixed(1)} %`;
  return `| ${file ? `\`${file}\`` : 'all'} | ${inAll} | ${inAll - own.length} | ${none} | ${killed} | ${survived} | ${percent} |`;
}

const TABLE = /^\| file \|.*\n(\|.*\n)*/m;
const table = ['| file | mutants | not judged | no change | killed | survived | rate |', '|---|---|---|---|---|---|---|', ...rows, ''].join('\n');
const text = read('mutants.md');
if (REPORT && text.match(TABLE)?.[0] !== table) complaints.push('the table in mutants.md is not that of mutants.jsonl: run `N=0 make mutants`');
if (!REPORT) fs.writeFileSync(at('mutants.md'), text.replace(TABLE, table));

const survivors = new Set([...results.values()].filter(({ verdict }) => verdict === 'survived').map(({ key }) => withoutNumber(key)));
for (const key of survivors) if (!explained.has(key)) complaints.push(`not explained in mutants.md: ${key}`);
for (const key of explained) if (!survivors.has(key)) complaints.push(`mutants.md explains what did not survive: ${key}`);

const outdated = all.filter((mutant) => results.has(mutant.key) && !holds(mutant, results.get(mutant.key))).length;
console.log(`\n${table}`);
if (outdated > 0) console.log(`Of ${outdated} of them the function has changed since.`);
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
