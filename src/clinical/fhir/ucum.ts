/** Units that take a metric prefix (UCUM §1, c/s symbols). */
const metric =
  'm g s rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb T lm lx Bq Gy Sv l L ar t u eV bar cal cal_[15] cal_th Cal [iU] [IU] eq osm kat U st Ci R RAD REM B[10.nV] B[mV] B bit By Bd g% m[H2O] m[Hg] Cel mho dyn erg P gf tex Np [Cal]'

/** Units that do not (UCUM tables 4 to 26, those that medicine meets, and every arbitrary unit of its procedures). */
const plain =
  "% 10* 10^ [pi] [ppth] [ppm] [ppb] [pptr] deg gon ' '' min h d a a_t a_j a_g wk mo mo_s mo_j mo_g AU atm [lbf_av] [in_i] [ft_i] [yd_i] [mi_i] [fth_i] [nmi_i] [sin_i] [sft_i] [syd_i] [cin_i] [cft_i] [cyd_i] [mil_i] [ft_us] [yd_us] [in_us] [mi_us] [acr_us] [gal_us] [bbl_us] [qt_us] [pt_us] [gil_us] [foz_us] [fdr_us] [min_us] [crd_us] [bu_us] [cup_us] [tbs_us] [tsp_us] [foz_m] [cup_m] [tsp_m] [tbs_m] [gal_br] [pt_br] [foz_br] [gr] [lb_av] [oz_av] [dr_av] [oz_m] [scwt_av] [lcwt_av] [ston_av] [lton_av] [stone_av] [pwt_tr] [oz_tr] [lb_tr] [sc_ap] [dr_ap] [oz_ap] [lb_ap] [degF] [degR] [in_i'H2O] [in_i'Hg] [PRU] [diop] [p'diop] %[slope] [mesh_i] [Ch] [drp] [hnsf'U] [MET] [hp'_X] [hp'_C] [hp'_M] [hp'_Q] [kp_X] [kp_C] [kp_M] [kp_Q] [HPF] [LPF] [pH] [smgy'U] [todd'U] [dye'U] [Amb'a'1'U] [arb'U] [USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [AU] [BAU] [CCID_50] [TCID_50] [EID_50] [PFU] [FFU] [CFU] [IR] [D'ag'U] [Lf] [mclg'U] [dqt'U] [knk'U] [mclg'U] [tb'U] [bdsk'U] [ka'U] [S] [ELU] [EU] [FEU] [DDU] [car_Au] [m/s2/Hz^0.5] [NTU] [FNU] [HP] [psi] circ sph bit_s [Btu] [Btu_39] [Btu_59] [Btu_60] [Btu_IT] [Btu_m] [Btu_th] [lne] [pnt] [pca] [sft_i] [bf_i] [cr_i] [pied] [hd_i] [rd_us] [ch_us] [lk_us] [fth_us] [fur_us] [sct] [twp] [dpt_us] [pk_us] [dqt_us] [bu_br] [pk_br] [qt_br] [gil_br] [fdr_br] [min_br] [Ao] b att"

const prefixes = ['da', ...'khdcmunpfazy']

/** Of the large prefixes only those pairs that are measured in people: a capital M before a gram or a litre is a slip for milli. */
const large = new Set([
  'MBq',
  'GBq',
  'TBq',
  'MHz',
  'GHz',
  'MPa',
  'GPa',
  'MeV',
  'MJ',
  'MW',
  'MOhm',
  'M[IU]',
  'M[iU]',
  'GGy',
])
const metrics = new Set(metric.split(' '))
const plains = new Set(plain.split(' '))

/**
 * Whether a unit is valid UCUM, case sensitive (UCUM §2.1 syntax, §3.1 case): `mg/dL`, `10*3/uL`, `mm[Hg]`, `{puff}`; not
 * `MG`, `mcg`, `Tablet`. A unit of the rarer tables may be missed and is then told as words only; none is let in falsely.
 */
export function isUcum(unit: string): boolean {
  if (unit === '' || unit.length > 100 || !/^[\x21-\x7e]+$/.test(unit)) return false
  const end = term(unit, unit[0] === '/' ? 1 : 0, 0)
  return end === unit.length
}

/** Where the term that begins at `at` ends; -1 where there is none. */
function term(unit: string, at: number, depth: number): number {
  let end = component(unit, at, depth)
  while (end > 0 && (unit[end] === '.' || unit[end] === '/')) end = component(unit, end + 1, depth)
  return end
}

const annotation = /\{[^{}]*\}/y
const factor = /\d+(?![*^\d])/y
const symbol = /(?:[A-Za-z%'_]|10[*^]|\[[^[\]{}]*\](?:_\w+)?|(?<=[A-Za-z_])\d+(?=[A-Za-z_]))+/y
const exponent = /[+-]?\d+/y

function component(unit: string, at: number, depth: number): number {
  if (unit[at] === '(') {
    if (depth > 8) return -1
    const end = term(unit, at + 1, depth + 1)
    return end > 0 && unit[end] === ')' ? end + 1 : -1
  }
  const bare = ending(annotation, unit, at)
  if (bare > 0) return bare
  const number = ending(factor, unit, at)
  if (number > 0) return annotated(unit, number)
  const word = ending(symbol, unit, at)
  if (word < 0 || !isAtom(unit.slice(at, word))) return -1
  const power = ending(exponent, unit, word)
  return annotated(unit, power > 0 ? power : word)
}

function annotated(unit: string, at: number): number {
  const end = ending(annotation, unit, at)
  return end > 0 ? end : at
}

function ending(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : -1
}

function isAtom(word: string): boolean {
  if (plains.has(word) || metrics.has(word) || large.has(word)) return true
  return prefixes.some((prefix) => word.startsWith(prefix) && metrics.has(word.slice(prefix.length)))
}
