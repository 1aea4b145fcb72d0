import { type Command, Option } from 'commander'
import { parseDomain } from '../../direct/address.js'
import { type DomainRule, type RuleDirection, type RuleUse, ruleDirections, ruleUses } from '../../direct/rule.js'
import { addRules, ruleFields, rulePresets, translatedRule, tryRule, type WrittenRule } from '../../pipeline/rules.js'
import { act, actOnGateway, operatorName, orFail, type Session, sayDone, sayWarnings } from '../command.js'
import { CommandFailed, type Context, exitCodes } from '../operator.js'
import { readCertificates } from '../pem.js'
import { printRows, type Row } from '../table.js'

interface AddOptions {
  readonly domain: string
  readonly use?: RuleUse
  readonly direction?: RuleDirection
  readonly name?: string
  readonly preset?: string
  readonly file?: string
}

/** `rule add|list|remove|test|fields|presets|translate`: what domains demand of certificates. */
export function ruleCommands(program: Command, session: Session): void {
  const rule = program.command('rule').description('rules about certificates, for each domain, use and direction')
  addCommand(rule, session)

  actOnGateway<{ readonly domain?: string }>(
    rule.command('list').description('list them').option('--domain <domain>', 'of one domain'),
    session,
    async ({ directory }, context, options) => {
      const only = options.domain === undefined ? undefined : domainArgument(options.domain)
      const domains = (await directory.domains.list()).filter(({ domain }) => only === undefined || domain === only)
      const rows = domains.flatMap(({ domain, policy }) => policy.rules.map((one) => ruleRow(domain, one)))
      printRows(context, options.json === true, rows, 'No rules.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly domain: string }>(
    rule.command('remove <name>').description('take one away').requiredOption('--domain <domain>', 'whose it is'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      orFail(await directory.domains.removeRule(domainArgument(options.domain), name, operatorName))
      return sayDone(context, options, `Removed rule ${name} of ${options.domain}.`, { removed: name })
    },
  )

  readingCommands(rule, session)
}

function addCommand(rule: Command, session: Session): void {
  actOnGateway<AddOptions>(
    rule
      .command('add [text]')
      .description('add a rule as text or from a file, or the rules of a preset')
      .requiredOption('--domain <domain>', 'whose certificates are judged by it, and whose partners')
      .addOption(
        new Option('--use <use>', "trust (signers, recipients), private (our keys), public (others' keys)").choices([
          ...ruleUses,
        ]),
      )
      .addOption(new Option('--direction <direction>', 'mail it is for').choices([...ruleDirections]))
      .option('--name <name>', 'what findings call it')
      .addOption(new Option('--preset <preset>', 'see `rule presets`').choices(rulePresets().map(({ name }) => name)))
      .option('--file <file>', 'where the text is'),
    session,
    async ({ directory }, context, options, args) => {
      const domain = domainArgument(options.domain)
      const added = await addRules(directory.domains, domain, await writtenRules(context, options, args), operatorName)
      if (added.kind === 'unreadable')
        throw new CommandFailed(`rule ${added.name}, line ${added.line}, column ${added.column}: ${added.detail}`)
      const { policy } = orFail(added).domain
      printRows(
        context,
        options.json === true,
        policy.rules.map((one) => ruleRow(domain, one)),
        '',
      )
      return exitCodes.done
    },
  )
}

/** Exactly one of a text, a file and a preset says what to add. */
async function writtenRules(
  context: Context,
  { use, direction, name, preset, file }: AddOptions,
  [given]: readonly string[],
): Promise<readonly WrittenRule[]> {
  // An argument that was left out comes as this word, which is no rule.
  const text = given === 'undefined' ? undefined : given
  if ([text, preset, file].filter((one) => one !== undefined).length !== 1)
    throw new CommandFailed('give the text of a rule, --file or --preset, one of them', exitCodes.usage)
  if (preset !== undefined) {
    const rules = rulePresets().find((one) => one.name === preset)?.rules ?? []
    if (name !== undefined && rules.length > 1)
      throw new CommandFailed(`${preset} has ${rules.length} rules, which keep their names`, exitCodes.usage)
    return rules.map((one) => ({
      ...one,
      ...(use && { use }),
      ...(direction && { direction }),
      ...(name !== undefined && { name }),
    }))
  }
  if (use === undefined || name === undefined)
    throw new CommandFailed('a rule needs --use and --name, see --help', exitCodes.usage)
  const found = text ?? Buffer.from(await context.readFile(file ?? '')).toString('utf8')
  return [{ name, use, direction: direction ?? (use === 'public' ? 'out' : 'both'), text: found }]
}

/** What needs no gateway. */
function readingCommands(rule: Command, session: Session): void {
  act(
    rule.command('test <text> <file>').description('what a rule says of the certificates of a file'),
    session,
    async (context, { json = false }, [text = '', file = '']) => {
      const rows: Row[] = []
      let all = true
      for (const certificate of readCertificates(await context.readFile(file), file)) {
        const trial = tryRule(text, certificate)
        if (trial.kind === 'unreadable')
          throw new CommandFailed(`line ${trial.line}, column ${trial.column}: ${trial.detail}`, exitCodes.usage)
        if (trial.kind === 'malformed') throw new CommandFailed(`${file}: ${trial.detail}`)
        all &&= trial.outcome.kind === 'holds'
        rows.push({ subject: trial.subject, result: trial.outcome.kind, detail: trial.words })
      }
      printRows(context, json, rows, '')
      return all ? exitCodes.done : exitCodes.refused
    },
  )

  act(
    rule.command('fields').description('the fields of certificates that rules ask about'),
    session,
    async (context, { json = false }) => {
      printRows(context, json, ruleFields(), '')
      return exitCodes.done
    },
  )

  act(
    rule.command('presets').description('rules that need not be written anew'),
    session,
    async (context, { json = false }) => {
      const rows = rulePresets().flatMap(({ name: preset, rules }) =>
        rules.map(({ name, use, direction, text }) => ({ preset, name, use, direction, text: text.trim() })),
      )
      if (json) printRows(context, json, rows, '')
      else
        for (const { preset, name, use, direction, text } of rows)
          context.print(`${preset}: ${name}, --use ${use} --direction ${direction}\n${text.replace(/^/gm, '  ')}\n\n`)
      return exitCodes.done
    },
  )

  act(
    rule.command('translate <file>').description('a policy of the reference implementation (SIMPLE_TEXT_V1) as a rule'),
    session,
    async (context, options, [file = '']) => {
      const translated = translatedRule(Buffer.from(await context.readFile(file)).toString('utf8'))
      if (translated.kind === 'unreadable')
        throw new CommandFailed(`${file}, line ${translated.line}, column ${translated.column}: ${translated.detail}`)
      sayWarnings(context, translated.notes)
      return sayDone(context, options, translated.text, { rule: translated.text, notes: translated.notes })
    },
  )
}

function ruleRow(domain: string, { name, use, direction, text }: DomainRule): Row {
  return { domain, name, use, direction, rule: text }
}

function domainArgument(name: string) {
  const domain = parseDomain(name)
  if (!domain) throw new CommandFailed(`${name} is no domain name`, exitCodes.usage)
  return domain
}
