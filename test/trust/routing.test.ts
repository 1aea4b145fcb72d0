import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { readHeader } from '../../src/mime/header.js'
import { checkRouting } from '../../src/trust/routing.js'
import { senderOf } from '../../src/trust/sender.js'
import { alice, bob } from './world.js'

const carol = 'carol@clinic.test' as DirectAddress

function headerOf(...lines: readonly string[]) {
  const header = readHeader(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`))
  if (header.kind !== 'header') throw new Error(header.detail)
  return header
}

const words = (
  lines: readonly string[],
  {
    mailFrom = alice as DirectAddress | null,
    rcptTo = [bob],
    isNotice = false,
    mode = 'strict' as 'strict' | 'warn',
  } = {},
) =>
  checkRouting(headerOf(...lines), { mailFrom, rcptTo }, isNotice, mode).map((verdict) =>
    verdict.kind === 'consistent' ? 'consistent' : `${verdict.kind} ${verdict.reason.slice(15)}`,
  )

describe('routing', () => {
  it.each([
    ['RCPT in To', ['From: alice@hisp.test', 'To: bob@clinic.test'], 'consistent'],
    ['RCPT in Cc, folded for case', ['From: Alice@HISP.test', 'Cc: "B" <BOB@Clinic.Test>'], 'consistent'],
    ['RCPT in the second To', ['From: alice@hisp.test', 'To: carol@clinic.test', 'To: bob@clinic.test'], 'consistent'],
    ['RCPT in a group', ['From: alice@hisp.test', 'To: staff: carol@clinic.test, bob@clinic.test;'], 'consistent'],
    [
      'RCPT in Bcc only',
      ['From: alice@hisp.test', 'To: carol@clinic.test', 'Bcc: bob@clinic.test'],
      'refused recipient',
    ],
    [
      'RCPT in a display name only',
      ['From: alice@hisp.test', 'To: "bob@clinic.test" <carol@clinic.test>'],
      'refused recipient',
    ],
    [
      'RCPT in a comment only',
      ['From: alice@hisp.test', 'To: carol@clinic.test (bob@clinic.test)'],
      'refused recipient',
    ],
    ['RCPT with a tag', ['From: alice@hisp.test', 'To: bob+x@clinic.test'], 'refused recipient'],
    ['no To', ['From: alice@hisp.test'], 'refused recipient'],
    ['MAIL FROM in Sender', ['From: dora@hisp.test', 'Sender: alice@hisp.test', 'To: bob@clinic.test'], 'consistent'],
    ['MAIL FROM in neither', ['From: dora@hisp.test', 'To: bob@clinic.test'], 'refused sender'],
    [
      'MAIL FROM in Reply-To',
      ['From: dora@hisp.test', 'Reply-To: alice@hisp.test', 'To: bob@clinic.test'],
      'refused sender',
    ],
  ])('with %s', (_, lines, expected) => {
    expect(words(lines)).toEqual([expected])
  })

  it('is judged per recipient', () => {
    const lines = ['From: alice@hisp.test', 'To: bob@clinic.test']
    expect(words(lines, { rcptTo: [bob, carol] })).toEqual(['consistent', 'refused recipient'])
  })

  it('allows the empty reverse-path to notices only, and their recipients are checked too', () => {
    const lines = ['From: alice@hisp.test', 'To: bob@clinic.test']
    expect(words(lines, { mailFrom: null })).toEqual(['refused sender'])
    expect(words(lines, { mailFrom: null, isNotice: true })).toEqual(['consistent'])
    expect(words(lines, { mailFrom: null, isNotice: true, rcptTo: [carol] })).toEqual(['refused recipient'])
    expect(words(lines, { mailFrom: carol, isNotice: true })).toEqual(['refused sender'])
  })

  it('only warns in the mode warn', () => {
    expect(words(['From: alice@hisp.test', 'To: carol@clinic.test'], { mode: 'warn' })).toEqual(['warned recipient'])
  })
})

describe('the sender', () => {
  it.each([
    [['From: Alice <alice@hisp.test>'], 'alice@hisp.test'],
    [['From: ALICE@hisp.test'], 'alice@hisp.test'],
    [['From: "bob@clinic.test" <alice@hisp.test>'], 'alice@hisp.test'],
    [['From: alice@hisp.test', 'From: bob@clinic.test'], 'several-senders'],
    [['From: alice@hisp.test, bob@clinic.test', 'Sender: alice@hisp.test'], 'several-senders'],
    [['Sender: alice@hisp.test'], 'no-sender'],
    [['From: '], 'no-sender'],
    [['From: undisclosed:;'], 'no-sender'],
    [['From: "alice"@hisp.test, x'], 'no-sender'],
    [['From: alice'], 'no-sender'],
  ])('of %j', (lines, expected) => {
    const sender = senderOf(headerOf(...lines))
    expect(sender.kind === 'sender' ? sender.address : sender.reason).toBe(expected)
  })
})
