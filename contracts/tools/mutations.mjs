// The mutants of a Solidity file: small changes of its source, one at a time, found in the compiler's syntax tree.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const solc = createRequire(import.meta.url)(path.join(root, 'node_modules', 'solc'));
const REMAPPINGS = ['@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/', 'solady/=node_modules/solady/'];

// A comparison moves its boundary here; its negation comes from the conditions below.
const BINARY = {
  '+': ['-'], '-': ['+'], '*': ['/'], '/': ['*'], '%': ['*'],
  '<<': ['>>'], '>>': ['<<'], '&': ['|'], '|': ['&'], '^': ['&'],
  '<': ['<='], '<=': ['<'], '>': ['>='], '>=': ['>'], '==': ['!='], '!=': ['=='],
  '&&': ['||'], '||': ['&&'],
};
const ASSIGNMENT = { '+=': ['-=', '='], '-=': ['+=', '='] };
const STEP = { '++': '--', '--': '++' };
const YUL = { add: 'sub', sub: 'add', mul: 'div', div: 'mul', mod: 'div', addmod: 'mulmod', lt: 'gt', gt: 'lt' };

/** Compiles what `contents` holds, and everything else from the folder `from`. */
export function compile(contents, settings, from = root) {
  const sources = Object.fromEntries(Object.entries(contents).map(([file, content]) => [file, { content }]));
  const input = { language: 'Solidity', sources, settings: { evmVersion: 'prague', remappings: REMAPPINGS, ...settings } };
  const read = (file) => ({ contents: fs.readFileSync(path.join(from, file), 'utf8') });
  return JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
}

/**
 * All mutants of a file, in the order of its source: `{file, place, scope, line, before, after, kind, start, end, text}`.
 * `text` replaces the bytes from `start` to `end`; `before` and `after` are the line in which they begin, without and with it;
 * `scope` is the source of the function or declaration around them.
 */
export function mutants(file, source) {
  const { ast } = compile({ [file]: source }, { outputSelection: { '*': { '': ['ast'] } } }).sources[file];
  const bytes = Buffer.from(source, 'utf8');
  const found = new Map();

  const span = (node) => {
    const [start, length] = node.src.split(':').map(Number);
    return [start, start + length];
  };
  const text = (start, end) => bytes.subarray(start, end).toString('utf8');
  const textOf = (node) => text(...span(node));

  /** The function around a place, or the contract; and the source of that part of the contract. */
  function placeOf(start) {
    const contract = ast.nodes.find((node) => node.nodeType === 'ContractDefinition' && around(node, start));
    const part = contract?.nodes.find((node) => around(node, start));
    const named = ['FunctionDefinition', 'ModifierDefinition'].includes(part?.nodeType);
    return { place: named ? `${contract.name}.${part.name || part.kind}` : contract?.name ?? file, scope: part ? textOf(part) : source };
  }
  const around = (node, start) => span(node)[0] <= start && start < span(node)[1];

  function add(kind, start, end, replacement) {
    if (text(start, end) === replacement) return;
    const lineStart = bytes.lastIndexOf('\n', start - 1) + 1;
    const lineEnd = bytes.indexOf('\n', start);
    const after = text(lineStart, start) + replacement + text(Math.min(end, lineEnd), lineEnd);
    found.set(`${start}:${end}:${replacement}`, {
      file,
      ...placeOf(start),
      line: text(0, start).split('\n').length,
      before: text(lineStart, lineEnd).trim(),
      after: after.trim() || '(nothing)',
      kind,
      start,
      end,
      text: replacement,
    });
  }
  const replace = (kind, node, replacement) => add(kind, ...span(node), replacement);

  /** The operator stands between two nodes, with nothing but comments and brackets beside it. */
  function operator(kind, left, right, old, replacements) {
    const [from, to] = [span(left)[1], span(right)[0]];
    const place = text(from, to).indexOf(old);
    if (place < 0) return;
    const start = from + Buffer.byteLength(text(from, to).slice(0, place));
    for (const replacement of replacements) add(kind, start, start + old.length, replacement);
  }

  const isReverting = (node) =>
    node?.nodeType === 'RevertStatement' || (node?.nodeType === 'Block' && node.statements.length === 1 && isReverting(node.statements[0]));

  function condition(node) {
    // The opposite of an equality comes from its operator, that of `!x` from its removal.
    const known = (node.nodeType === 'BinaryOperation' && ['==', '!='].includes(node.operator)) || (node.nodeType === 'UnaryOperation' && node.operator === '!');
    if (!known) replace('negated condition', node, `!(${textOf(node)})`);
  }

  function number(kind, node, value) {
    const own = textOf(node);
    if (/^0x[0-9a-fA-F]{40}$/.test(own)) return;
    if (value === 0n) return replace(kind, node, '1');
    replace(kind, node, `(${own} + 1)`);
    replace(kind, node, value === 1n ? '0' : `(${own} - 1)`);
    if (value > 1n) replace(kind, node, '0');
  }

  const visit = {
    BinaryOperation: (node) => operator('operator', node.leftExpression, node.rightExpression, node.operator, BINARY[node.operator] ?? []),
    Assignment: (node) => operator('operator', node.leftHandSide, node.rightHandSide, node.operator, ASSIGNMENT[node.operator] ?? []),
    UnaryOperation(node) {
      if (node.operator === '!') replace('negated condition', node, textOf(node.subExpression));
      if (node.operator in STEP) replace('operator', node, textOf(node).replace(node.operator, STEP[node.operator]));
    },
    Literal(node) {
      if (node.kind === 'bool') replace('constant', node, node.value === 'true' ? 'false' : 'true');
      if (node.kind === 'number') number('constant', node, BigInt(node.typeDescriptions?.typeString?.match(/^int_const (\d+)$/)?.[1] ?? 2));
    },
    IfStatement(node) {
      condition(node.condition);
      if (isReverting(node.trueBody) && !node.falseBody) replace('deleted check', node, statement(node));
    },
    WhileStatement: (node) => condition(node.condition),
    ForStatement: (node) => node.condition && condition(node.condition),
    Conditional: (node) => condition(node.condition),
    ExpressionStatement: (node) => replace('deleted statement', node, statement(node)),
    EmitStatement: (node) => replace('deleted statement', node, statement(node)),
    Return: (node) => replace('deleted statement', node, statement(node)),
    Break: (node) => replace('deleted statement', node, statement(node)),
    Continue: (node) => replace('deleted statement', node, statement(node)),
    ModifierInvocation: (node) => replace('deleted modifier', node, ''),
    // In assembly.
    YulFunctionCall(node) {
      const swapped = YUL[node.functionName.name];
      if (swapped === undefined) return;
      const arity = swapped === 'mulmod' ? 3 : 2;
      if (node.arguments.length === arity) replace('operator', node.functionName, swapped);
    },
    YulLiteral(node) {
      if (node.kind === 'number') replace('constant', node, String(BigInt(node.value) + 1n));
    },
    YulExpressionStatement: (node) => replace('deleted statement', node, ''),
    YulAssignment: (node) => replace('deleted statement', node, ''),
    YulBreak: (node) => replace('deleted statement', node, ''),
  };

  /** What stands for a statement that is deleted: its node may end before the semicolon, and a branch needs one. */
  function statement(node) {
    return /[;}]$/.test(textOf(node)) ? '{}' : '0';
  }

  function walk(node) {
    if (Array.isArray(node)) return node.forEach(walk);
    if (node === null || typeof node !== 'object') return;
    if (node.nodeType === 'ImportDirective' || node.nodeType === 'PragmaDirective') return;
    visit[node.nodeType]?.(node);
    for (const [key, child] of Object.entries(node)) if (key !== 'typeDescriptions') walk(child);
  }
  walk(ast);
  return [...found.values()].sort((a, b) => a.start - b.start || a.end - b.end || (a.text < b.text ? -1 : 1));
}

/** The file with one mutant in it. */
export function apply(source, mutant) {
  const bytes = Buffer.from(source, 'utf8');
  return Buffer.concat([bytes.subarray(0, mutant.start), Buffer.from(mutant.text), bytes.subarray(mutant.end)]).toString('utf8');
}
