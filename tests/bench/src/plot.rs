//! A bar for each contestant at each case: its CPU seconds as a multiple of ours.

use crate::contestants::{CONTESTANTS, OURS};
use crate::race::{Entry, ratio};
use std::fmt::Write;

const LEFT: f64 = 110.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 13.0;
const GAP: f64 = 16.0;
const TOP: f64 = 56.0;
/// Bars end here, their label tells how far they would go.
const MOST: f64 = 10.0;
const FONT: &str = r#"font-family="system-ui, sans-serif" font-size="12""#;
const COLOURS: [&str; CONTESTANTS.len()] =
    ["#1b6ca8", "#7fb2d9", "#4f93c6", "#b8c4cc", "#e0a100", "#f2cf66", "#7a5195", "#d1495b"];

/// The picture, as SVG.
pub fn ratios(entries: &[Entry]) -> String {
    let bars: Vec<_> = entries.iter().filter_map(|it| Some((it, ratio(entries, it, |c| c.cpu_seconds)?))).collect();
    let longest = bars.iter().map(|(_, times)| times.min(MOST)).fold(1.0, f64::max);
    let (mut body, mut y, mut before) = (String::new(), TOP, "");
    for (entry, times) in &bars {
        if entry.case != before {
            y += if before.is_empty() { 0.0 } else { GAP };
            before = entry.case;
            let _ =
                writeln!(body, r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#, LEFT - 10.0, y + 11.0, entry.case);
        }
        bar(&mut body, entry, *times, y, longest);
        y += BAR + 2.0;
    }
    let ours = LEFT + WIDTH / longest;
    let (from, stroke) = (TOP - 6.0, r##"stroke="#888" stroke-dasharray="3 3""##);
    let line = format!(r#"<line x1="{ours:.1}" x2="{ours:.1}" y1="{from}" y2="{y:.1}" {stroke}/>"#);
    let (width, height) = (LEFT + WIDTH + 70.0, y + 16.0);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0}" {FONT}>
<title>CPU seconds as multiples of ours</title>
<rect width="100%" height="100%" fill="white"/>
<g fill="#222">
<text x="12" y="20" font-size="14" font-weight="600">CPU seconds as multiples of ours: shorter is better</text>
{}{body}{line}
</g>
</svg>
"##,
        legend(&bars),
    )
}

fn bar(body: &mut String, entry: &Entry, times: f64, y: f64, longest: f64) {
    let width = WIDTH * times.min(MOST) / longest;
    let label = match times {
        _ if entry.contestant == OURS => format!("{:.2} s", entry.median(|c| c.cpu_seconds).unwrap_or_default()),
        times if times > MOST => format!("{times:.1}× →"),
        times => format!("{times:.1}×"),
    };
    let colour = colour(entry.contestant);
    let _ =
        writeln!(body, r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="1.5" fill="{colour}"/>"#);
    let _ = writeln!(body, r#"<text x="{:.1}" y="{:.1}">{label}</text>"#, LEFT + width + 6.0, y + 11.0);
}

fn legend(bars: &[(&Entry, f64)]) -> String {
    let (mut legend, mut x) = (String::new(), 12.0);
    for contestant in CONTESTANTS.iter().filter(|c| bars.iter().any(|(entry, _)| entry.contestant == c.name)) {
        let (name, colour) = (contestant.name, colour(contestant.name));
        let _ = writeln!(legend, r#"<rect x="{x}" y="31" width="11" height="11" rx="1.5" fill="{colour}"/>"#);
        let _ = writeln!(legend, r#"<text x="{}" y="41">{name}</text>"#, x + 16.0);
        x += 34.0 + 7.0 * name.len() as f64;
    }
    legend
}

fn colour(contestant: &str) -> &'static str {
    CONTESTANTS.iter().position(|c| c.name == contestant).map_or("#888", |at| COLOURS[at])
}
