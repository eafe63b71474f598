//! What a subscriber of `tracing` is told. It may ask for the state meanwhile: no lock of the gate
//! is held.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread::ThreadId;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// Writes the events of one thread down, and looks at the service with each. It is the subscriber
/// of the whole process: whether anyone listens to an event is asked once, by whichever test comes
/// first.
struct Listener {
    thread: ThreadId,
    service: Service,
    told: Arc<Mutex<Vec<String>>>,
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "cimrepo"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if std::thread::current().id() != self.thread {
            return;
        }
        let _ = self.service.activity();
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        self.told.lock().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_is_told_what_goes_on() {
    let (_, service) = serve(ServiceOptions::new().lease(Duration::from_secs(20)));
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener {
        thread: std::thread::current().id(),
        service: service.clone(),
        told: told.clone(),
    };
    tracing::subscriber::set_global_default(listener).unwrap();
    {
        let connection = service.connect().unwrap();
        put(&connection, "N", 10).unwrap();
        let object = service.backup_restore();
        object.pause().unwrap();
        object.resume().unwrap();
        object.backup("/b", NONE).unwrap();
        object.restore("/b", FORCE).unwrap();
        object.pause().unwrap();
        drop(object);
    }
    let expected = [
        "TRACE a transaction has the turn",
        "TRACE a transaction has given its turn back",
        "DEBUG a checkpoint is done: everything committed is in the files",
        "INFO paused",
        "INFO resumed",
        "INFO a backup begins",
        "INFO a backup has ended",
        "INFO a restore begins with its checks",
        "INFO a restore switches; connections are broken",
        "INFO a restore has ended",
        "DEBUG a checkpoint is done: everything committed is in the files",
        "INFO paused",
        "INFO resumed, because its owner is gone",
    ];
    assert_eq!(*told.lock(), expected);
}
