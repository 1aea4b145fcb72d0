import type { Command } from 'commander'
import { type DirectoryRefusal, directoryProblems } from '../directory/problem.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions, type Operator } from './operator.js'

/** A session of one command line: where it runs, and the exit code it ends with. */
export interface Session {
  readonly context: Context
  exit: number
}

/** Who the audit log names for what the command line does. */
export const operatorName = 'operator'

/**
 * Gives a command its work: a function of its arguments and of all its options, which answers the exit code. Options are
 * what the command declared, so `T` names them once more as a type.
 */
export function act<T extends object>(
  command: Command,
  session: Session,
  work: (context: Context, options: T & GlobalOptions, args: readonly string[]) => Promise<number>,
): Command {
  return command.action(async (...given: unknown[]) => {
    // One that may be left out, and is, comes as undefined.
    const args = given
      .slice(0, -2)
      .flatMap((arg) => (arg === undefined ? [] : Array.isArray(arg) ? arg : [arg]))
      .map(String)
    session.exit = await work(session.context, command.optsWithGlobals<T & GlobalOptions>(), args)
  })
}

/** The same for work on an open gateway. */
export function actOnGateway<T extends object>(
  command: Command,
  session: Session,
  work: (operator: Operator, context: Context, options: T & GlobalOptions, args: readonly string[]) => Promise<number>,
): Command {
  return act<T>(command, session, (context, options, args) =>
    context.withOperator(options, (operator) => work(operator, context, options, args)),
  )
}

/** Ends the command with the words of the directory where it refused. */
export function orFail<T extends { readonly kind: string }>(outcome: T | DirectoryRefusal): T {
  if (isRefusal(outcome)) {
    const { problem, detail } = outcome
    throw new CommandFailed(`${directoryProblems[problem]}${detail ? ` (${detail})` : ''}`)
  }
  return outcome
}

function isRefusal(outcome: { readonly kind: string }): outcome is DirectoryRefusal {
  return outcome.kind === 'refused' && 'problem' in outcome
}

/** Says what was done: a sentence in text, an object in JSON. */
export function sayDone(context: Context, { json }: GlobalOptions, sentence: string, facts: object): number {
  context.print(json ? `${JSON.stringify(facts)}\n` : `${sentence}\n`)
  return exitCodes.done
}

/** Says on stderr what the operator should know though it was done. */
export function sayWarnings(context: Context, warnings: readonly string[]): void {
  for (const warning of warnings) context.printError(`warning: ${warning}\n`)
}
