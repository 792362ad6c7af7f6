//! One page with everything in it: no script, nothing from elsewhere.

use serde_json::Value;

use super::{Plotted, plot};

/// The page of a report.
pub(super) fn page(mode: &str, lines: &[String], plotted: &[Plotted], results: &Value) -> String {
    let text = escape(&lines.join("\n"));
    let plots = if plotted.is_empty() {
        String::new()
    } else {
        format!("{}{}", plot::percentiles(plotted), plot::series(plotted))
    };
    let json = escape(&format!("{results:#}"));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Portcullis: {mode}</title>\
         <style>{STYLE}</style></head><body><h1>Portcullis, loadgen {mode}</h1><pre>{text}</pre>{plots}\
         <details><summary>All figures</summary><pre>{json}</pre></details></body></html>\n"
    )
}

/// Text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222;\
background:#fff}pre{overflow-x:auto;background:#f5f5f5;padding:1em}figure{margin:2em 0}figcaption{font-weight:600}\
svg{width:100%;height:auto}svg text{font-size:12px;fill:#555}svg .left{text-anchor:end}svg .below{text-anchor:middle}\
svg polyline{fill:none;stroke-width:1.6}svg .grid{stroke:#ddd}";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Recorder;

    #[test]
    fn a_page_has_its_plots_and_nothing_from_outside() {
        let mut recorder = Recorder::new();
        (1..2_000_u64).for_each(|number| recorder.record(number * 1_000, number * 900, Duration::from_millis(number)));
        let plotted = [Plotted { name: "<decide>".into(), recorder }];
        let page = page("quic", &["p50 < 1 ms".into()], &plotted, &serde_json::json!({"a": 1}));
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("&lt;decide&gt;") && !page.contains("<decide>"));
        assert!(!page.contains("http") && !page.contains("NaN") && !page.contains("inf"));
    }
}
