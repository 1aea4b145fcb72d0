import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gather, openBudget } from '../../src/smtp/held.js'

async function* pieces(chunks: readonly Uint8Array[], failing = false) {
  for (const chunk of chunks) yield chunk
  if (failing) throw new Error('the client vanished')
}

test('what is gathered is what came, or nothing, and the budget is whole again', async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(chunks, fc.nat(4000), fc.nat(4000), fc.boolean(), async (parts, room, first, failing) => {
      const budget = openBudget(room)
      const whole = Buffer.concat(parts)
      const gathered = await gather(pieces(parts, failing), budget, first).catch(() => 'threw' as const)
      expect(budget.taken()).toBeLessThanOrEqual(room)
      if (gathered === 'threw') expect(failing).toBe(true)
      else if (gathered === undefined) expect(whole.length).toBeGreaterThan(0)
      else {
        expect(Buffer.from(gathered.message)).toEqual(whole)
        expect(budget.taken()).toBe(whole.length)
        gathered.release()
        gathered.release()
      }
      if (!failing && whole.length <= room) expect(gathered).toBeDefined()
      if (whole.length > room) expect(gathered === undefined || gathered === 'threw').toBe(true)
      expect(budget.taken()).toBe(0)
    }),
    { numRuns: 500 },
  )
})
