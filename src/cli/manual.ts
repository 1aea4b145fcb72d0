import type { Command } from 'commander'
import { type Context, cliLimits, exitCodes } from './operator.js'
import { buildProgram } from './program.js'

/** `docs/cli.md`: every command with its arguments and options, from the same definitions that parse them. */
export function commandManual(): string {
  const program = buildProgram({ context: nowhere, exit: exitCodes.done })
  const parts = [
    '# Command line',
    '',
    '<!-- Made from src/cli by `npm run generate`; do not edit. -->',
    '',
    `${program.description()} In a clone, \`node dist/main.js\` stands for \`direct-gateway\`.`,
    '',
    'While a gateway runs, it has the store: commands travel to it over `control.sock` in the data folder (mode 0600, so',
    'its own user and root may give them) and take effect at once. Without one, the command opens the store itself.',
    `Files are read and written by you, not by the gateway, and have at most ${cliLimits.fileBytes / 1024 / 1024} MiB, backups
whatever there is.`,
    '',
    '| exit code | meaning |',
    '|---|---|',
    `| ${exitCodes.done} | done |`,
    `| ${exitCodes.refused} | refused, not found or not intact; stderr says what and why |`,
    `| ${exitCodes.usage} | the command line or the configuration is wrong; nothing was done |`,
    `| ${exitCodes.tryAgain} | \`serve\`: something passing, such as a port in use or a failed store; a supervisor starts it again |`,
    `| ${exitCodes.misconfigured} | \`serve\`: a person must act, such as on a missing master key or bad TLS files |`,
    '',
    'Results go to stdout, words about them to stderr. Every command takes:',
    '',
    ...options(program),
    '',
    ...program.commands.flatMap((command) => section(command, 'direct-gateway')),
  ]
  return `${parts.join('\n').trimEnd()}\n`
}

function section(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`
  if (command.commands.length > 0)
    return [
      `## ${command.name()}`,
      '',
      sentence(command.description()),
      '',
      ...command.commands.flatMap((child) => section(child, name)),
    ]
  const usage = [
    name,
    ...command.registeredArguments.map((argument) => `<${argument.name()}${argument.variadic ? '...' : ''}>`),
  ]
  const lines = options(command)
  const depth = parent === 'direct-gateway' ? '##' : '###'
  return [
    `${depth} \`${usage.join(' ')}\``,
    '',
    sentence(command.description()),
    '',
    ...lines,
    ...(lines.length ? [''] : []),
  ]
}

function options(command: Command): string[] {
  const rows = command.options
    .filter(({ long }) => long !== '--version')
    .map(({ flags, description, mandatory, argChoices, defaultValue }) => {
      const notes = [
        mandatory && 'required',
        argChoices?.map((choice) => `\`${choice}\``).join(', '),
        typeof defaultValue === 'string' && `default \`${defaultValue}\``,
      ].filter((note) => typeof note === 'string')
      return `| \`${flags}\` | ${description}${notes.length > 0 ? ` (${notes.join('; ')})` : ''} |`
    })
  return rows.length === 0 ? [] : ['| option | |', '|---|---|', ...rows]
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}

const unused = () => {
  throw new Error('the manual runs no command')
}

/** Commands are described, not run. */
const nowhere: Context = {
  print: unused,
  printError: unused,
  readFile: unused,
  writeFile: unused,
  withOperator: unused,
}
