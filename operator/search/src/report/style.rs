//! The style of the pages, in light and dark. Figures are drawn for white paper; in the dark their colours are
//! exchanged one by one.

use plotters::style::{RGBColor, WHITE};

use super::figure::{BLUE, GREY, INK, RED};
use super::series::SERIES;

const STYLE: &str = "
:root { --back: #fff; --bar: #e5e7eb; --box: #f3f4f6; --chosen: #fef2f2; --ink: #1f2937; --line: #d1d5db; --quiet: #4b5563;
  --rule: #9ca3af; --search: #2563eb; --front: #b91c1c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --back: #111827; --bar: #374151; --box: #1f2937; --chosen: #3b1d22; --ink: #e5e7eb; --line: #374151;
    --quiet: #9ca3af; --rule: #6b7280; --search: #60a5fa; --front: #f87171; }
}
body { background: var(--back); color: var(--ink); font: 16px/1.5 sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { border-top: 1px solid var(--line); font-size: 1.25rem; margin-top: 2.5rem; overflow-wrap: anywhere; padding-top: 1.25rem; }
p { max-width: 52rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; color: var(--quiet); padding-top: .5rem; text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid var(--rule); white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.mask { font-family: monospace; white-space: nowrap; }
td.message { max-width: 24rem; min-width: 12rem; overflow-wrap: anywhere; }
tr.front { background: var(--chosen); }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure svg { height: auto; max-width: 100%; }
.bar { background: var(--bar); display: inline-block; height: .8rem; vertical-align: middle; width: 14rem; }
.bar i { background: var(--search); display: block; height: 100%; }
.bar i.front { background: var(--front); }
table.matrix td, table.matrix th { padding-left: .75rem; }
td.own { box-shadow: inset 0 0 0 2px var(--rule); }
td.heat1 { background: color-mix(in srgb, var(--search) 7%, transparent); }
td.heat2 { background: color-mix(in srgb, var(--search) 14%, transparent); }
td.heat3 { background: color-mix(in srgb, var(--search) 21%, transparent); }
td.heat4 { background: color-mix(in srgb, var(--search) 28%, transparent); }
td.heat5 { background: color-mix(in srgb, var(--search) 35%, transparent); }
pre { background: var(--box); overflow-x: auto; padding: 1rem; }
details { margin-top: 1rem; }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: .5rem 0; padding: 0; }
.legend li { align-items: center; display: flex; font-size: .9rem; gap: .4rem; overflow-wrap: anywhere; }
.legend svg { flex: none; }
.pair { display: grid; gap: 0 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.cards { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.cards figure { margin: 0; max-width: 100%; }
.cards figcaption { font-size: .875rem; max-width: 22rem; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  body { padding: .5rem 1rem 3rem; }
  .broad { display: none; }
  .narrow { display: block; }
  td.number { min-width: 4.5rem; white-space: normal; }
}
";

/// What a colour of the figures becomes in the dark.
const IN_THE_DARK: [(RGBColor, &str); 5] = [
    (WHITE, "#111827"),
    (INK, "#e5e7eb"),
    (GREY, "#9ca3af"),
    (BLUE, "#60a5fa"),
    (RED, "#f87171"),
];

/// The style sheet.
pub(super) fn style() -> String {
    let series = SERIES.map(|series| (series.colour, series.in_the_dark));
    let mut rules = String::new();
    let mut known = Vec::new();
    for (RGBColor(red, green, blue), dark) in IN_THE_DARK.into_iter().chain(series) {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        if known.contains(&light) {
            continue;
        }
        rules.push_str(&format!(
            "  svg [fill=\"{light}\"] {{ fill: {dark}; }} svg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n"
        ));
        known.push(light);
    }
    format!("{STYLE}@media (prefers-color-scheme: dark) {{\n{rules}}}\n")
}
