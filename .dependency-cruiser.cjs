/** Who may import whom: the table of docs/architecture.md as rules. `npm run check` proves that they bite. */
const leaf = { direct: [], ports: ['direct'], asn1: [], x509: ['asn1'], xml: [], mime: ['direct'] }
const features = {
  smime: ['direct', 'ports', 'mime', 'asn1', 'x509'],
  trust: ['direct', 'ports', 'mime', 'asn1', 'x509'],
  clinical: ['direct', 'ports', 'mime', 'xml'],
  notices: ['direct', 'ports', 'mime'],
  keyring: ['direct', 'ports'],
  directory: ['direct', 'ports', 'asn1', 'x509'],
  spool: ['direct', 'ports'],
  mailbox: ['direct', 'ports'],
  record: ['direct', 'ports'],
}
const core = [...Object.keys(leaf), ...Object.keys(features)]
const adapters = {
  observe: ['direct', 'ports'],
  config: ['direct', 'ports'],
  store: ['direct', 'ports', 'observe'],
  resolve: ['direct', 'ports', 'observe', 'asn1', 'x509'],
  audit: ['direct', 'ports', 'observe'],
}
const edge = ['direct', 'ports', 'pipeline', 'directory', 'spool', 'mailbox', 'record', 'observe', 'config']
const rooms = { ...leaf, ...features, pipeline: core, ...adapters, smtp: edge, delivery: edge, api: edge, cli: edge }

const only = (packages, places) => ({
  name: `${packages.join(', ')} only in ${places.join(', ')}`,
  severity: 'error',
  from: { path: '^src/', pathNot: places.map((place) => `^src/${place}/`) },
  to: { path: packages.map((name) => `node_modules/${name}/`) },
})

module.exports = {
  forbidden: [
    ...Object.entries(rooms).map(([room, may]) => ({
      name: `${room} imports ${may.length ? may.join(', ') : 'no room'}`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: [room, ...may].map((name) => `^src/${name}/`) },
    })),
    {
      name: 'every room has its rule',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: [...Object.keys(rooms), 'workers'].map((name) => `^src/${name}/`) },
      to: {},
    },
    {
      name: 'the core does no input or output',
      severity: 'error',
      from: { path: [...core, 'pipeline'].map((name) => `^src/${name}/`) },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|fs/promises|net|tls|dns|dns/promises|http|https|http2|dgram|child_process|worker_threads)$',
      },
    },
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true } },
    only(['smtp-server'], ['smtp']),
    only(['nodemailer'], ['delivery', 'notices']),
    only(['level', 'classic-level'], ['store/level']),
    only(['pkijs', 'asn1js', 'node-forge'], ['smime', 'trust', 'resolve']),
    only(['saxes', 'fast-xml-parser'], ['xml', 'clinical']),
    only(['mailparser'], ['mime']),
    only(['fastify', '@fastify'], ['api']),
    only(['zod'], ['api', 'config']),
    only(['commander'], ['cli']),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      extensionAlias: { '.js': ['.ts', '.js'] },
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
}
