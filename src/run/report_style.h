/*-------------------------------------------------------------------------
 *
 * report_style.h
 *		The style sheet of report.c's page.
 *
 * Light and dark as the reader's system is set; paper is always light.  No
 * "<" and no ampersand in it: the page is XML, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_REPORT_STYLE_H
#define FTM_REPORT_STYLE_H

#define REPORT_LIGHT_COLORS \
	"color-scheme: light; --paper: #ffffff; --ink: #1c2430; --faint: #5c6675;" \
	" --line: #dde2e9; --panel: #f5f7fa; --good: #1a7f4b; --warn: #9a6200;" \
	" --bad: #c0292b; --load: #3567b0; --step: #dbe3ee;" \
	" --on-bar: #ffffff; --on-step: #1c2430;"

#define REPORT_DARK_COLORS \
	"color-scheme: dark; --paper: #14181f; --ink: #e4e8ee; --faint: #98a3b3;" \
	" --line: #2d3542; --panel: #1d232d; --good: #5ccb91; --warn: #e6b054;" \
	" --bad: #ff8584; --load: #6f9fe0; --step: #333e4e;" \
	" --on-bar: #10141a; --on-step: #e4e8ee;"

#define REPORT_STYLE \
	":root { " REPORT_LIGHT_COLORS " }\n" \
	"@media screen and (prefers-color-scheme: dark) { :root { " \
	REPORT_DARK_COLORS " } }\n" \
	"* { box-sizing: border-box; }\n" \
	"body { margin: 0; background: var(--paper); color: var(--ink);" \
	" font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; }\n" \
	"main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 48px; }\n" \
	"header { border-left: 6px solid; padding: 4px 0 4px 20px; }\n" \
	"header.good { border-color: var(--good); }\n" \
	"header.warn { border-color: var(--warn); }\n" \
	"header.bad { border-color: var(--bad); }\n" \
	"header.good h1 { color: var(--good); }\n" \
	"header.warn h1 { color: var(--warn); }\n" \
	"header.bad h1 { color: var(--bad); }\n" \
	"header p { margin: 4px 0; color: var(--faint); }\n" \
	"header p.error { color: var(--ink); font-weight: 600; }\n" \
	"h1 { margin: 0; font-size: 28px; line-height: 1.25; }\n" \
	"h2 { margin: 40px 0 12px; font-size: 19px; }\n" \
	"h3 { margin: 24px 0 8px; font-size: 15px; }\n" \
	".figures { display: grid; gap: 12px; margin: 28px 0 0;" \
	" grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }\n" \
	".figures div { display: flex; flex-direction: column-reverse;" \
	" background: var(--panel); border-radius: 8px; padding: 12px 16px; }\n" \
	".figures dt { color: var(--faint); font-size: 13px; }\n" \
	".figures dd { margin: 0; font-size: 21px; font-weight: 600;" \
	" font-variant-numeric: tabular-nums; white-space: nowrap; }\n" \
	"svg { display: block; width: 100%; height: auto; font-size: 11px; }\n" \
	"svg text.lane { fill: var(--faint); font-size: 12px; }\n" \
	"svg text.tick { fill: var(--faint); }\n" \
	"svg line.tick { stroke: var(--line); }\n" \
	"g.load rect { fill: var(--load); }\n" \
	"g.bad rect { fill: var(--bad); }\n" \
	"g.step rect, g.stopped rect { fill: var(--step); }\n" \
	"g text { fill: var(--on-bar); pointer-events: none; }\n" \
	"g.step text, g.stopped text { fill: var(--on-step); }\n" \
	".wide { overflow-x: auto; }\n" \
	"table { border-collapse: collapse; width: 100%; font-size: 13px; }\n" \
	"th, td { text-align: left; vertical-align: top; padding: 6px 16px 6px 0;" \
	" border-bottom: 1px solid var(--line); overflow-wrap: break-word; }\n" \
	"th { color: var(--faint); font-weight: 600; vertical-align: bottom; }\n" \
	"td:first-child { font-weight: 500; min-width: 10em; }\n" \
	".number { text-align: right; white-space: nowrap;" \
	" font-variant-numeric: tabular-nums; }\n" \
	"td.good, td.bad { font-weight: 600; min-width: 7em;" \
	" overflow-wrap: anywhere; }\n" \
	"td.good { color: var(--good); }\n" \
	"td.bad { color: var(--bad); }\n" \
	"footer { margin-top: 40px; color: var(--faint); font-size: 13px; }\n" \
	"@page { margin: 15mm; }\n" \
	"@media print { body { font-size: 10pt; }\n" \
	" main { max-width: none; padding: 0; }\n" \
	" table { font-size: 7.5pt; }\n" \
	" th, td { padding: 3px 8px 3px 0; }\n" \
	" th.number { white-space: normal; }\n" \
	" td:first-child { min-width: 0; overflow-wrap: anywhere; }\n" \
	" td.good { min-width: 0; white-space: nowrap; }\n" \
	" tr, svg, .figures div { break-inside: avoid; }\n" \
	" h2, h3 { break-after: avoid; }\n" \
	" * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }\n"

#endif							/* FTM_REPORT_STYLE_H */
