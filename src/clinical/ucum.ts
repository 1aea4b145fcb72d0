/** Unit atoms of UCUM that take a prefix (UCUM 2.1, tables 1 to 27: metric units), case sensitive. */
const metric = set(
  'm s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv L l ar t bar u eV pc',
  'kat U cal cal_[15] cal_[20] cal_m cal_IT cal_th [iU] [IU] mho Ci R RAD REM erg dyn P St',
  'm[H2O] m[Hg] bit By Bd Np B B[SPL] B[V] B[mV] B[uV] B[10.nV] B[W] B[kW] st eq osm g% kat tex bit_s [g] [c] [h] [k] [e]',
  '[eps_0] [mu_0] [m_e] [m_p] [G] [ly] gf Bi [Btu]',
)

/** Unit atoms that stand as they are. */
const plain = set(
  "10* 10^ [pi] % [ppth] [ppm] [ppb] [pptr] gon deg ' '' min h d a_t a_j a_g a wk mo_s mo_j mo_g mo AU atm [lbf_av]",
  '[in_i] [ft_i] [yd_i] [mi_i] [fth_i] [nmi_i] [kn_i] [sin_i] [sft_i] [syd_i] [cin_i] [cft_i] [cyd_i] [bf_i] [cr_i] [mil_i] [cml_i] [hd_i]',
  '[ft_us] [yd_us] [in_us] [rd_us] [ch_us] [lk_us] [fth_us] [mi_us] [acr_us] [srd_us] [smi_us] [sct] [twp] [mil_us]',
  '[in_br] [ft_br] [yd_br] [mi_br] [acr_br] [gal_us] [bbl_us] [qt_us] [pt_us] [gil_us] [foz_us] [fdr_us] [min_us] [crd_us] [bu_us]',
  '[gal_wi] [pk_us] [dqt_us] [dpt_us] [tbs_us] [tsp_us] [cup_us] [foz_m] [cup_m] [tsp_m] [tbs_m] [gal_br] [pk_br] [bu_br] [qt_br]',
  '[pt_br] [gil_br] [foz_br] [fdr_br] [min_br] [gr] [lb_av] [oz_av] [dr_av] [scwt_av] [lcwt_av] [ston_av] [lton_av] [stone_av]',
  '[pwt_tr] [oz_tr] [lb_tr] [sc_ap] [dr_ap] [oz_ap] [lb_ap] [oz_m] [lne] [pnt] [pca] [degF] [degR] [degRe] [Cal] [Btu_39] [Btu_59]',
  "[Btu_60] [Btu_m] [Btu_IT] [Btu_th] [HP] [in_i'H2O] [in_i'Hg] [PRU] [wood'U] [diop] [p'diop] %[slope] [mesh_i] [Ch] [drp] [hnsf'U]",
  "[MET] [hp'_X] [hp'_C] [hp'_M] [hp'_Q] [hp_X] [hp_C] [hp_M] [hp_Q] [kp_X] [kp_C] [kp_M] [kp_Q] [pH] [S] [HPF] [LPF] [arb'U]",
  "[USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [todd'U] [dye'U] [smgy'U] [bdsk'U] [ka'U] [knk'U] [mclg'U] [tb'U]",
  "[CCID_50] [TCID_50] [EID_50] [PFU] [FFU] [CFU] [IR] [BAU] [AU] [Amb'a'1'U] [PNU] [Lf] [D'ag'U] [FEU] [ELU] [EU] [Mic'U]",
  "bit_s B[SPL] circ sph [car_m] [car_Au] [smoot] [m/s2/Hz^0.5] [NTU] [FNU] [den] mm[Hg] [psi] [bu_us] [ELU] [cat'U] [in_i] [kp_X]",
)

const prefixes = ['da', 'Ki', 'Mi', 'Gi', 'Ti', ...'YZEPTGMkhdcmunpfazy']

/**
 * Whether a unit is one of UCUM in its case sensitive form (UCUM §§6-12): atoms with prefixes and exponents, joined by `.`
 * and `/`, with annotations in braces. Units of magnetism are left out: MG is no megagauss in a prescription. A unit that fails is still the source's unit; it only has no meaning to a machine.
 */
export function isUcum(unit: string): boolean {
  if (unit.length > 100 || !/^[!-~]+$/.test(unit)) return false
  const rest = term({ text: unit, at: 0 }, 0)
  return rest === unit.length
}

interface Cursor {
  readonly text: string
  readonly at: number
}

/** Position behind a term; -1 where there is none. */
function term({ text, at }: Cursor, depth: number): number {
  if (depth > 8) return -1
  let next = component({ text, at: text[at] === '/' ? at + 1 : at }, depth)
  while (next >= 0 && (text[next] === '.' || text[next] === '/')) next = component({ text, at: next + 1 }, depth)
  return next
}

function component({ text, at }: Cursor, depth: number): number {
  if (text[at] === '(') {
    const inner = term({ text, at: at + 1 }, depth + 1)
    return inner >= 0 && text[inner] === ')' ? inner + 1 : -1
  }
  if (text[at] === '{') return annotation({ text, at })
  const end = endOfUnit({ text, at })
  const whole = text.slice(at, end)
  // Powers of ten may stand where a unit may: `10*3/uL`, and plain numbers as factors: `/100`.
  if (!/^\d+$/.test(whole) && !isSimple(whole)) return -1
  return text[end] === '{' ? annotation({ text, at: end }) : end
}

/** Up to the next operator or bracket; whatever stands in square brackets belongs to the unit. */
function endOfUnit({ text, at }: Cursor): number {
  let inside = false
  for (let i = at; i < text.length; i++) {
    const sign = text[i] as string
    if (sign === '[') inside = true
    else if (sign === ']') inside = false
    else if (!inside && './(){}'.includes(sign)) return i
  }
  return text.length
}

function annotation({ text, at }: Cursor): number {
  const end = text.indexOf('}', at)
  return end < 0 || text.slice(at + 1, end).includes('{') ? -1 : end + 1
}

function isSimple(unit: string): boolean {
  if (isAtom(unit)) return true
  const bare = unit.replace(/[+-]?\d+$/, '')
  return bare !== unit && isAtom(bare)
}

function isAtom(unit: string): boolean {
  if (metric.has(unit) || plain.has(unit)) return true
  return prefixes.some((prefix) => unit.startsWith(prefix) && metric.has(unit.slice(prefix.length)))
}

function set(...rows: readonly string[]): ReadonlySet<string> {
  return new Set(rows.flatMap((row) => row.split(' ')))
}
