//! Findings in sentences: what runs, when, and as whom. Evidence in them is escaped.

use std::fmt::Write as _;

use crate::base::escape::escape;

use super::finding::{Kind, Subject};

/// Characters of a text from evidence that a sentence repeats.
const SHOWN: usize = 160;

/// A text from evidence, escaped and cut.
pub(super) fn short(text: &str) -> String {
    let text = text.trim();
    let flat: String = text
        .chars()
        .take(SHOWN)
        .map(|c| if c == '\n' { ' ' } else { c })
        .collect();
    let more = if text.chars().nth(SHOWN).is_some() {
        "..."
    } else {
        ""
    };
    format!("{}{more}", escape(&flat))
}

/// The creator of an object.
pub(super) fn creator(subject: &Subject) -> String {
    match (&subject.creator, &subject.creator_name) {
        (Some(sid), Some(name)) => format!("{} ({sid})", escape(name)),
        (Some(sid), None) => sid.to_string(),
        (None, _) => "nobody named".to_owned(),
    }
}

/// A binding: what runs, when, as whom.
pub(super) fn chain(
    binding: &Subject,
    filter: Option<&Subject>,
    consumer: Option<&Subject>,
    missing: &[String],
) -> String {
    let mut words = match (filter, consumer) {
        (Some(filter), Some(consumer)) => format!("{} {}", action(consumer), trigger(filter)),
        (Some(filter), None) => format!("nothing runs {}", trigger(filter)),
        (None, Some(consumer)) => format!("{} when nothing says", action(consumer)),
        (None, None) => "binding of nothing to nothing".to_owned(),
    };
    for missing in missing {
        push(&mut words, missing);
    }
    push(&mut words, &format!("created by {}", creator(binding)));
    words
}

/// A filter or consumer that no binding binds.
pub(super) fn lone(subjects: &[Subject]) -> String {
    let Some(subject) = subjects.first() else {
        return String::new();
    };
    let what = match subject.kind {
        Kind::Filter => format!("filter without binding: nothing runs {}", trigger(subject)),
        _ => format!("consumer without binding: {}", action(subject)),
    };
    format!("{what}; created by {}", creator(subject))
}

/// A timer and the filters that name it.
pub(super) fn timer(subjects: &[Subject]) -> String {
    let Some((timer, filters)) = subjects.split_first() else {
        return String::new();
    };
    let mut words = format!(
        "{} \"{}\" fires",
        escape(timer.class.as_str()),
        short(timer.text("TimerId"))
    );
    let interval = timer.get("IntervalBetweenEvents");
    match interval.and_then(crate::cim::value::Value::as_integer) {
        Some(interval) => push_str(&mut words, &format!(" every {interval} ms")),
        None => push_str(
            &mut words,
            &format!(" at {}", short(timer.text("EventDateTime"))),
        ),
    }
    match filters.len() {
        0 => push(&mut words, "no filter names it"),
        _ => {
            let names = filters.iter().map(|filter| short(filter.text("Name")));
            let names: Vec<String> = names.collect();
            push(
                &mut words,
                &format!("filters name it: {}", names.join(", ")),
            );
        }
    }
    words
}

fn push(words: &mut String, more: &str) {
    push_str(words, &format!("; {more}"));
}

fn push_str(words: &mut String, more: &str) {
    // Nothing can fail that writes into a string.
    write!(words, "{more}").ok();
}

/// The action of a consumer.
fn action(consumer: &Subject) -> String {
    let name = short(consumer.text("Name"));
    let class = consumer.class.as_str();
    let text = |property: &str| short(consumer.text(property));
    let is = |other: &str| consumer.class == *other;
    let does = if is("CommandLineEventConsumer") {
        let parts = [text("ExecutablePath"), text("CommandLineTemplate")];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("runs `{}` as Local System", parts.join(" "))
    } else if is("ActiveScriptEventConsumer") {
        let engine = text("ScriptingEngine");
        match consumer.text("ScriptText") {
            "" => format!(
                "runs the {engine} file {} as Local System",
                text("ScriptFileName")
            ),
            script => {
                let length = script.chars().count();
                format!("runs {length} characters of {engine} as Local System")
            }
        }
    } else if is("LogFileEventConsumer") {
        format!("writes to the file {}", text("FileName"))
    } else if is("NTEventLogEventConsumer") {
        format!("writes to the event log as {}", text("SourceName"))
    } else if is("SMTPEventConsumer") {
        format!(
            "sends mail to {} through {}",
            text("ToLine"),
            text("SMTPServer")
        )
    } else {
        "is called".to_owned()
    };
    format!("{} \"{name}\" {does}", escape(class))
}

/// When a filter lets events through.
fn trigger(filter: &Subject) -> String {
    let query = short(filter.text("Query"));
    let namespace = filter.text("EventNamespace");
    let place = match namespace {
        "" => String::new(),
        namespace => format!(" in {}", short(namespace)),
    };
    format!("on \"{}\" ({query}{place})", short(filter.text("Name")))
}
