/** SNOMED CT kinds of propensity (C-CDA Allergy and Intolerance Type): what sort of allergy it is, not to what. */
export const propensityKinds: ReadonlySet<string> = new Set([
  ...['420134006', '282100009', '418038007', '419511003', '418471000', '419199007', '416098002'],
  ...['414285001', '59037007', '235719002', '232347008', '426232007'],
])
