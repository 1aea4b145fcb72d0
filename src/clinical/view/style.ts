import { createHash } from 'node:crypto'

/** The one style sheet of a page, for screens and for paper. */
export const style = `
:root{color-scheme:light;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--band:#f6f8fa;--warn:#8a4b00}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.25rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
h3,h4,h5,h6{font-size:1.05rem;margin:1.25rem 0 .5rem}
.heading,.caption,caption{font-weight:600;text-align:left;margin:.75rem 0 .25rem}
header dl{display:grid;grid-template-columns:minmax(8rem,12rem) 1fr;gap:.15rem 1rem;margin:.75rem 0;padding:.75rem 1rem;background:var(--band);border:1px solid var(--line);border-radius:.5rem}
dt{color:var(--soft)}
dd{margin:0}
nav ol{columns:2 16rem;margin:.5rem 0 0}
.table{overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0;min-width:50%}
th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}
thead th{background:var(--band)}
.left{text-align:left}.center{text-align:center}.right{text-align:right}.justify{text-align:justify}
.rule-left{border-left:2px solid}.rule-right{border-right:2px solid}.rule-top{border-top:2px solid}.rule-bottom{border-bottom:2px solid}
.arabic{list-style:decimal}.little-roman{list-style:lower-roman}.big-roman{list-style:upper-roman}.little-alpha{list-style:lower-alpha}.big-alpha{list-style:upper-alpha}
.disc{list-style:disc}.circle{list-style:circle}.square{list-style:square}
.lined,pre{white-space:pre-wrap}
pre{font:.9rem/1.45 ui-monospace,monospace}
.paragraph{margin:.75rem 0}
.about,.address,.missing,.footnote,footer{color:var(--soft);font-size:.9rem}
.footnote{border-left:3px solid var(--line);padding-left:.5rem}
.notice{border-left:4px solid var(--warn);padding:.25rem .75rem;background:#fff8ec}
figure{margin:.75rem 0}
img{max-width:100%;height:auto}
del,s{text-decoration:line-through}
ins{text-decoration:underline}
footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.5rem}
.running{display:none}
@page{margin:2cm 1.5cm}
@media print{
body{max-width:none;padding:0;font-size:10pt}
nav{display:none}
a{color:inherit;text-decoration:none}
h2,h3,h4,.caption,caption{break-after:avoid}
tr,li,figure{break-inside:avoid}
thead{display:table-header-group}
.table{overflow:visible}
.running{display:block;position:fixed;top:-1.2cm;left:0;right:0;font-size:8pt;color:#444}
}
`

/**
 * What a page may do: nothing but show itself, in the one style that is named by its hash, with pictures that are in it.
 * `sandbox` cannot stand in a page; whoever serves it adds that, and who may frame it.
 */
export const pagePolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'`
