/** Who may import whom, as rules made from the table of the house. `npm run check` proves that each of them bites. */
const { rooms, wiring, pure, pureBuiltins, fences } = require('./test/check/rooms.cjs')

const inRoom = (name) => `^src/${name}(/|[.]ts$)`
const inPackage = (name) => `node_modules/(@types/)?${name}/`

const roomRules = Object.entries(rooms).map(([room, { may }]) => ({
  name: `room ${room}`,
  comment: `${room} imports ${may.length > 0 ? may.join(', ') : 'no other room'}`,
  severity: 'error',
  from: { path: inRoom(room) },
  to: { path: '^src/', pathNot: [room, ...may].map(inRoom) },
}))

const fenceRules = fences.map(({ packages, places }) => ({
  name: `only ${places.join(', ')}: ${packages.join(', ')}`,
  severity: 'error',
  from: { path: '^src/', pathNot: places.map(inRoom) },
  to: { path: packages.map(inPackage) },
}))

module.exports = {
  forbidden: [
    ...roomRules,
    ...fenceRules,
    {
      name: 'every room has its rule',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: [...Object.keys(rooms), ...Object.keys(wiring)].map(inRoom) },
      to: {},
    },
    {
      name: 'every package has its fence',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: 'node_modules/', pathNot: fences.flatMap(({ packages }) => packages).map(inPackage) },
    },
    {
      name: 'the core does no input or output',
      severity: 'error',
      from: { path: pure.map(inRoom) },
      to: { dependencyTypes: ['core'], pathNot: `^(node:)?(${pureBuiltins.join('|')})$` },
    },
    {
      name: 'no cycles',
      comment: 'Types may name each other; code that needs itself to be loaded may not.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    // What cannot be resolved cannot be judged.
    { name: 'everything resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
}
