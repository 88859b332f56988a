//! Prometheus' text format, version 0.0.4: the little of it that snapshots of counters need.
//!
//! Counters live where they are counted and come here as numbers, so no registry is kept.

use std::fmt::{Display, Write};

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Without quantiles: a sum and a count, from which a mean over any time follows.
    Summary,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// One family, as the documentation lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Documented {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// The text being written.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    families: Vec<Documented>,
}

/// One family being written.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    labels: &'static [&'static str],
}

impl Exposition {
    /// Begins a family. All its samples follow before the next one begins.
    pub(crate) fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Family<'_> {
        let kind = kind.name();
        self.families.push(Documented { name, kind, labels, help });
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.text, name, labels }
    }

    /// The families written so far.
    #[cfg(test)]
    pub(crate) fn families(&self) -> &[Documented] {
        &self.families
    }

    /// The finished text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample; `values` are those of the family's labels, in their order.
    pub(crate) fn sample(&mut self, values: &[&dyn Display], number: impl Display) -> &mut Self {
        self.line("", values, None, &number);
        self
    }

    /// One histogram: counts per bucket (not cumulated) with their upper bounds, the last count
    /// beyond all bounds, and the sum of all that was observed.
    pub(crate) fn histogram(
        &mut self,
        values: &[&dyn Display],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut total = 0;
        for (index, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds.get(index).map_or("+Inf".to_owned(), ToString::to_string);
            self.line("_bucket", values, Some(&bound), &total);
        }
        self.line("_sum", values, None, &sum);
        self.line("_count", values, None, &total);
    }

    /// One summary without quantiles.
    pub(crate) fn summary(&mut self, values: &[&dyn Display], sum: f64, count: u64) {
        self.line("_sum", values, None, &sum);
        self.line("_count", values, None, &count);
    }

    fn line(
        &mut self,
        suffix: &str,
        values: &[&dyn Display],
        bound: Option<&str>,
        number: &dyn Display,
    ) {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let _ = write!(self.text, "{}{suffix}", self.name);
        let mut before = '{';
        for (label, value) in self.labels.iter().zip(values) {
            let _ = write!(self.text, "{before}{label}=\"{}\"", escape(&value.to_string()));
            before = ',';
        }
        if let Some(bound) = bound {
            let _ = write!(self.text, "{before}le=\"{bound}\"");
            before = ',';
        }
        let close = if before == '{' { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {number}");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulated_and_closed_by_infinity() {
        let mut text = Exposition::default();
        text.family("late_seconds", Kind::Histogram, &["shard"], "How late.").histogram(
            &[&0],
            &[0.001, 0.5],
            &[3, 2, 1],
            4.25,
        );
        assert_eq!(
            text.finish(),
            "# HELP late_seconds How late.\n# TYPE late_seconds histogram\n\
             late_seconds_bucket{shard=\"0\",le=\"0.001\"} 3\n\
             late_seconds_bucket{shard=\"0\",le=\"0.5\"} 5\n\
             late_seconds_bucket{shard=\"0\",le=\"+Inf\"} 6\n\
             late_seconds_sum{shard=\"0\"} 4.25\nlate_seconds_count{shard=\"0\"} 6\n"
        );
    }

    #[test]
    fn label_values_cannot_break_out_of_their_quotes() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, &["b"], "C.").sample(&[&"x\"} 9\n\\"], 1);
        assert!(text.finish().ends_with("a_total{b=\"x\\\"} 9\\n\\\\\"} 1\n"));
    }

    #[test]
    fn a_sample_without_labels_has_no_braces() {
        let mut text = Exposition::default();
        text.family("up", Kind::Gauge, &[], "Up.").sample(&[], 1);
        assert!(text.finish().ends_with("\nup 1\n"));
    }
}
