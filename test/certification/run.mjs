// Runs the cases: `npm run certification -- --group discovery,receiving --quiet-seconds 10`.
import { register } from 'node:module'
import process from 'node:process'

register('../torture/typescript.mjs', import.meta.url)
const { main } = await import('./certification.ts')
process.exit(await main(process.argv.slice(2)))
